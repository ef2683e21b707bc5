"""The ClientHello, as far as it must be known before a TLS context is chosen (RFC 8446 4.1.2, RFC 6066 3, RFC
7301).

Sans-IO: the bytes are looked at, never consumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.net.errors import NetError

MOST = 65536
"""Most bytes of a hello that are looked at. Post-quantum key shares make some kilobytes; nothing honest makes
64."""

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_RECORD_MAX = 16384
_SERVER_NAME, _ALPN, _VERSIONS = 0, 16, 43
_HOST_NAME = 0
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


class _Short(Exception):
    """A vector is longer than what holds it."""


class _Reader:
    """Walks a vector of vectors (RFC 8446 3.4)."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def number(self, width: int) -> int:
        start = self.at
        if start + width > self.end:
            raise _Short
        self.at = start + width
        return int.from_bytes(self.data[start : self.at], "big")

    def skip(self, count: int) -> None:
        if self.at + count > self.end:
            raise _Short
        self.at += count

    def vector(self, width: int) -> _Reader:
        length = self.number(width)
        start = self.at
        self.skip(length)
        return _Reader(self.data, start, self.at)

    def rest(self) -> bytes:
        return self.data[self.at : self.end]

    @property
    def more(self) -> bool:
        return self.at < self.end


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
        return _client_hello(_Reader(handshake, 4))
    except _Short:
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


def _client_hello(body: _Reader) -> Hello:
    legacy = body.number(2)
    body.skip(32)
    body.vector(1)
    body.vector(2)
    body.vector(1)
    server_name = ""
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = (legacy,)
    extensions = body.vector(2) if body.more else _Reader(b"")
    while extensions.more:
        kind = extensions.number(2)
        content = extensions.vector(2)
        if kind == _SERVER_NAME:
            server_name = _server_name(content)
        elif kind == _ALPN:
            alpn = _protocols(content.vector(2))
        elif kind == _VERSIONS:
            versions = _numbers(content.vector(1))
    return Hello(server_name, alpn, versions)


def _server_name(content: _Reader) -> str:
    names = content.vector(2)
    while names.more:
        kind = names.number(1)
        name = names.vector(2).rest()
        if kind == _HOST_NAME:
            return name.decode("ascii").lower().rstrip(".") if _name(name) else ""
    return ""


def _protocols(names: _Reader) -> tuple[str, ...]:
    found: list[str] = []
    while names.more:
        found.append(names.vector(1).rest().decode("latin-1"))
    return tuple(found)


def _numbers(content: _Reader) -> tuple[int, ...]:
    found: list[int] = []
    while content.more:
        found.append(content.number(2))
    return tuple(found)
