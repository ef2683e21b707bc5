"""The ClientHello, as far as it must be known before a TLS context is chosen (RFC 8446 4.1.2, RFC 6066 3, RFC
7301).

Sans-IO: the bytes are looked at, never consumed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from struct import Struct, error
from typing import NamedTuple, NoReturn

from penstock.net.errors import NetError

MOST = 65536
"""Most bytes of a hello that are looked at. Post-quantum key shares make some kilobytes; nothing honest makes
64."""

MOST_RECORDS = 2048
"""Most records that a hello may be cut into. Nearly always there is one; some tools for avoiding censors make a few
dozen."""

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_RECORD_MAX = 16384
_SERVER_NAME, _ALPN, _VERSIONS = 0, 16, 43
_HOST_NAME = 0
_KNOWN = frozenset((_SERVER_NAME, _ALPN, _VERSIONS))
_two = Struct(">H").unpack_from
_two_twos = Struct(">HH").unpack_from
# A record's header, that of its first message, legacy_version, random, the length of legacy_session_id.
_opening = Struct(">BBxHBBHH32xB")
_begin = _opening.unpack_from
_FIRST_MESSAGE, _FIRST_FIELD, _SHORTEST = 5, 9, _opening.size
_LONG = 512
"""Bytes of an extension that are too many to be remembered."""
# HostName (RFC 6066, section 3): a DNS name, here with "_" and a final dot too, never with two dots in a row.
_name = re.compile(rb"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\Z", re.ASCII).match


class NotTls(NetError):
    """These bytes do not begin a TLS connection."""


class Hello(NamedTuple):
    """What a client asks for. `server_name` is in lower case, without a final dot, "" if none (or none valid)
    was sent; `versions` are the wire's numbers (0x0303 is TLS 1.2, 0x0304 is TLS 1.3)."""

    server_name: str = ""
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()


def parse_hello(data: bytes | bytearray) -> Hello | None:
    """Parse the hello that `data` begins with; `None` if more bytes are needed. Raises `NotTls`."""
    return HelloReader().read(bytes(data))


class HelloReader:
    """Looks at the beginning of a connection until it knows the hello: each time at all there is, of which only what is
    new is read. `need` is how many bytes there must be before another look can tell more: who waits for them is woken
    once a record, however slowly it comes.
    """

    __slots__ = ("_at", "_message", "_records", "need")

    def __init__(self) -> None:
        self._at = 0
        """Where the record begins that is not whole yet."""
        self._message = bytearray()
        self._records = 0
        self.need = 1

    def read(self, data: bytes) -> Hello | None:
        """Read the hello that `data` begins with; `None` if more bytes are needed.

        Raises `NotTls` on everything that is no TLS ClientHello, as soon as that can be seen.
        """
        if not self._at:
            hello = in_one_record(data)
            if hello is not None:
                return hello
        size = len(data)
        while True:
            at = self._at
            header = data[at : at + 6]
            if header[:1] not in (b"", b"\x16") or header[1:2] not in (b"", b"\x03"):
                raise NotTls("not a TLS handshake")
            if len(header) < 5:
                self.need = at + 6  # a record is never empty
                if self.need > MOST:
                    raise NotTls("a ClientHello of unreasonable size")
                break
            length = int.from_bytes(header[3:5], "big")
            if not 0 < length <= _RECORD_MAX:
                raise NotTls("a TLS record of impossible length")
            if not self._message and header[5:] not in (b"", b"\x01"):
                raise NotTls("not a ClientHello")
            stop = at + 5 + length
            if stop > MOST:
                raise NotTls("a ClientHello of unreasonable size")
            if stop > size:
                self.need = stop
                break
            self._records += 1
            if self._records > MOST_RECORDS:
                raise NotTls("a ClientHello in too many pieces")
            self._message += data[at + 5 : stop]
            self._at = stop
            hello = self._whole()
            if hello is not None:
                return hello
        return None

    def _whole(self) -> Hello | None:
        """The hello, once all of its message is here."""
        message = self._message
        if len(message) < 4:
            return None
        end = 4 + int.from_bytes(message[1:4], "big")
        if end > MOST:
            raise NotTls("a ClientHello of unreasonable size")
        if len(message) < end:
            return None
        data = bytes(message[:end])
        return _client_hello(data, 4, end, _two(data, 4)[0], data[38]) if end > 38 else _malformed()


def in_one_record(data: bytes) -> Hello | None:
    """Return the hello that nearly every client begins with, whole in the one record that it fills; None where it has
    to be looked at step by step. Raises `NotTls`."""
    if len(data) < _SHORTEST:
        return None
    kind, major, record, message, high, low, legacy, session = _begin(data)
    stop = _FIRST_MESSAGE + record
    if kind != _HANDSHAKE or major != 3 or message != _CLIENT_HELLO or high or low != record - 4:
        return None
    if stop > len(data) or record > _RECORD_MAX:
        return None
    return _client_hello(data, _FIRST_FIELD, stop, legacy, session)


def _client_hello(data: bytes, at: int, stop: int, legacy: int, session: int) -> Hello:
    """RFC 8446 4.1.2, from `at`, where `legacy_version` is, to `stop`; `session` bytes has `legacy_session_id`. Raises
    `NotTls`."""
    server_name = ""
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = (legacy,)
    try:
        at += 35 + session  # past version and random
        at += 2 + _two(data, at)[0]  # cipher_suites
        at += 1 + data[at]  # legacy_compression_methods
        if at > stop:
            raise IndexError
        if at < stop:
            end = at + 2 + _two(data, at)[0]
            if end > stop:
                raise IndexError
            at += 2
            while at < end:
                kind, length = _two_twos(data, at)
                after = at + 4 + length
                if kind in _KNOWN:
                    if after > end:
                        raise IndexError
                    content = data[at + 4 : after]
                    # What most clients say is the same, and read once (experiments/requests.md).
                    if kind == _SERVER_NAME:
                        server_name = (_known_name if length < _LONG else _server_name)(content)
                    elif kind == _ALPN:
                        alpn = (_known_protocols if length < _LONG else _protocols)(content)
                    else:
                        versions = _numbers(content)
                at = after
            if at > end:
                raise IndexError
    except (IndexError, error):
        _malformed()
    return Hello(server_name, alpn, versions)


def _malformed() -> NoReturn:
    raise NotTls("a malformed ClientHello") from None


def _server_name(content: bytes) -> str:
    """RFC 6066 3: a list of names, of which there is one."""
    _whole(content, 2)
    at = 2
    while at < len(content):
        kind = content[at]
        length = _two(content, at + 1)[0]
        name = content[at + 3 : at + 3 + length]
        if len(name) < length:
            raise IndexError
        if kind == _HOST_NAME:
            return name.decode("ascii").lower().rstrip(".") if _name(name) else ""
        at += 3 + length
    return ""


def _protocols(content: bytes) -> tuple[str, ...]:
    """RFC 7301 3.1."""
    _whole(content, 2)
    found: list[str] = []
    at = 2
    while at < len(content):
        length = content[at]
        name = content[at + 1 : at + 1 + length]
        if len(name) < length:
            raise IndexError
        found.append(name.decode("latin-1"))
        at += 1 + length
    return tuple(found)


@lru_cache(maxsize=256)
def _numbers(content: bytes) -> tuple[int, ...]:
    """RFC 8446 4.2.1."""
    _whole(content, 1)
    return tuple(_two(content, at)[0] for at in range(1, len(content), 2))


_known_name = lru_cache(maxsize=1024)(_server_name)
_known_protocols = lru_cache(maxsize=256)(_protocols)


def _whole(content: bytes, width: int) -> None:
    """The extension is one vector, no longer and no shorter than the extension."""
    if int.from_bytes(content[:width], "big") != len(content) - width:
        raise IndexError
