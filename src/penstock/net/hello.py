"""The ClientHello, as far as it must be known before a TLS context is chosen (RFC 8446 4.1.2, RFC 6066 3, RFC
7301).

Sans-IO: the bytes are looked at, never consumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from struct import Struct, error

from penstock.net.errors import NetError

MOST = 65536
"""Most bytes of a hello that are looked at. Post-quantum key shares make some kilobytes; nothing honest makes
64."""

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_RECORD_MAX = 16384
_SERVER_NAME, _ALPN, _VERSIONS = 0, 16, 43
_HOST_NAME = 0
_two = Struct(">H").unpack_from
_two_twos = Struct(">HH").unpack_from
_name = re.compile(rb"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\Z", re.ASCII).match


class NotTls(NetError):
    """These bytes do not begin a TLS connection."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client asks for. `server_name` is in lower case, without a final dot, "" if none (or none valid)
    was sent; `versions` are the wire's numbers (0x0303 is TLS 1.2, 0x0304 is TLS 1.3)."""

    server_name: str = ""
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()


def parse_hello(data: bytes | bytearray) -> Hello | None:
    """The hello that `data` begins with, or `None` if more bytes are needed.

    Raises `NotTls` on everything that is no TLS ClientHello, as soon as that can be seen.
    """
    handshake = _handshake(bytes(data[:MOST]))
    if handshake is None:
        if len(data) >= MOST:
            raise NotTls("a ClientHello of unreasonable size")
        return None
    try:
        return _client_hello(handshake)
    except (IndexError, error):
        raise NotTls("a malformed ClientHello") from None


def _handshake(data: bytes) -> bytes | None:
    """The first handshake message out of the records it may be cut into; `None` while it is not whole."""
    message = b""
    at = 0
    while True:
        header = data[at : at + 5]
        if header[:1] not in (b"", b"\x16") or header[1:2] not in (b"", b"\x03"):
            raise NotTls("not a TLS handshake")
        if len(header) < 5:
            return None
        length = int.from_bytes(header[3:5], "big")
        if not 0 < length <= _RECORD_MAX:
            raise NotTls("a TLS record of impossible length")
        message += data[at + 5 : at + 5 + length]
        if message and message[0] != _CLIENT_HELLO:
            raise NotTls("not a ClientHello")
        if len(message) >= 4:
            end = 4 + int.from_bytes(message[1:4], "big")
            if end > MOST:
                raise NotTls("a ClientHello of unreasonable size")
            if len(message) >= end:
                return message[:end]
        at += 5 + length
        if at > len(data):
            return None


def _client_hello(data: bytes) -> Hello:
    """RFC 8446 4.1.2. Reading past the end raises `IndexError` or `struct.error`."""
    legacy = _two(data, 4)[0]
    at = 38  # past version and random
    at += 1 + data[at]  # legacy_session_id
    at += 2 + _two(data, at)[0]  # cipher_suites
    at += 1 + data[at]  # legacy_compression_methods
    server_name = ""
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = (legacy,)
    if at > len(data):
        raise IndexError
    if at < len(data):
        end = at + 2 + _two(data, at)[0]
        if end > len(data):
            raise IndexError
        at += 2
        while at < end:
            kind, length = _two_twos(data, at)
            at += 4
            if at + length > end:
                raise IndexError
            if kind == _SERVER_NAME:
                server_name = _server_name(data[at : at + length])
            elif kind == _ALPN:
                alpn = _protocols(data[at : at + length])
            elif kind == _VERSIONS:
                versions = _numbers(data[at : at + length])
            at += length
    return Hello(server_name, alpn, versions)


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


def _numbers(content: bytes) -> tuple[int, ...]:
    """RFC 8446 4.2.1."""
    _whole(content, 1)
    return tuple(_two(content, at)[0] for at in range(1, len(content), 2))


def _whole(content: bytes, width: int) -> None:
    """The extension is one vector, no longer and no shorter than the extension."""
    if int.from_bytes(content[:width], "big") != len(content) - width:
        raise IndexError
