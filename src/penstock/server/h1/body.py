"""The body of an HTTP/1.1 request, read when somebody wants it (RFC 9112, sections 6 and 7)."""

from __future__ import annotations

from errno import ECONNRESET
from typing import TYPE_CHECKING

from penstock.http.chunked import RequestBodyDecoder
from penstock.http.errors import BadRequest
from penstock.modules.core.http_core import HttpCore
from penstock.net.errors import PeerGone

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.net.stream import Stream

class LengthBody:
    """A body of a known length. `rest` are its first bytes, read behind the head; what is beyond goes back."""

    __slots__ = ("_first", "_left", "_request", "_stream", "done", "length", "received")

    def __init__(self, request: Request, stream: Stream, length: int, rest: bytes) -> None:
        self.length: int | None = length
        self.received = 0
        self._request = request
        self._stream = stream
        self._left = length
        if len(rest) > length:
            stream.unread(rest[length:])
            rest = rest[:length]
        self._first = rest
        self.done = length == 0

    async def read(self) -> bytes:
        """Read the next piece; b"" at the end. Raises `PeerGone` when the client stops short, `TimedOut` when it
        stalls."""
        if self.done:
            return b""
        data = self._first
        if data:
            self._first = b""
        else:
            self._request.go_on()
            timeout = self._request.location[HttpCore].client_body_timeout
            data = await self._stream.recv(min(self._left, 65536), timeout=timeout)
            if not data:
                raise PeerGone(ECONNRESET)
        self._left -= len(data)
        self.received += len(data)
        self._request.request_length += len(data)
        self.done = self._left == 0
        return data

    async def discard(self) -> None:
        """Drop what is left."""
        while not self.done:
            await self.read()


class ChunkedBody:
    """A chunked body, decoded. Its size is checked against `client_max_body_size` as it grows."""

    __slots__ = ("_decoder", "_first", "_request", "_stream", "done", "length", "received")

    def __init__(self, request: Request, stream: Stream, rest: bytes) -> None:
        self.length: int | None = None
        self.received = 0
        self.done = False
        self._request = request
        self._stream = stream
        self._first = rest
        self._decoder = RequestBodyDecoder()

    async def read(self) -> bytes:
        """Read as `LengthBody.read` does; also raises `BadRequest` for a broken coding (400) or too large a body (413).
        """
        while not self.done:
            data = self._first
            if data:
                self._first = b""
            else:
                self._request.go_on()
                timeout = self._request.location[HttpCore].client_body_timeout
                data = await self._stream.recv(65536, timeout=timeout)
                if not data:
                    raise PeerGone(ECONNRESET)
            piece = self._take(data)
            if piece:
                return piece
        return b""

    def _take(self, data: bytes) -> bytes:
        """What of the body is in these bytes."""
        self._request.request_length += len(data)
        pieces = self._decoder.feed(data)
        if self._decoder.done:
            self.done = True
            if self._decoder.rest:
                self._stream.unread(self._decoder.rest)
                self._request.request_length -= len(self._decoder.rest)
        decoded = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.received += len(decoded)
        limit = self._request.location[HttpCore].client_max_body_size
        if limit and self.received > limit:
            raise BadRequest(413, f"client intended to send too large chunked body: {self.received} bytes")
        return decoded

    def glance(self) -> None:
        """Look at what came with the head, which nobody wanted: raises `BadRequest` where it is broken."""
        data, self._first = self._first, b""
        if data and not self.done:
            self._take(data)

    async def discard(self) -> None:
        while not self.done:
            await self.read()
