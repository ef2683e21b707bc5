"""A connection to somebody who is asked one thing after the other, each within a time for all of its steps.

So a check asks a backend, and an exporter a collector of spans. Nothing here is a request's: nobody counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.net.errors import TimedOut
from penstock.net.loop import running_loop
from penstock.upstream.exchange.wire import HTTP1

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.framing import Framing


class TimedConnection:
    """`stream` is there while it is connected: whoever connects sets it, and `close` lets go of it."""

    __slots__ = ("_due", "stream")

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self._due = 0.0

    def begin(self, seconds: float) -> None:
        """Begin something that may take so many seconds."""
        self._due = running_loop().timers.now + seconds

    def left(self) -> float:
        """Return how many seconds are left. Raises `TimedOut`."""
        left = self._due - running_loop().timers.now
        if left <= 0:
            raise TimedOut
        return left

    def close(self) -> None:
        """Close the connection, if there is one."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()

    async def head(self, stream: Stream, most: int) -> tuple[ResponseHead, bytes]:
        """Read the head of an answer over HTTP/1, and what came behind it; interim answers (RFC 9110, section 15.2) are
        left out. `most` bytes are waited for, all of these together. Raises `BadResponse` with words for a person, and
        `NetError`."""
        data = b""
        count = 0
        while count <= most:
            seen = len(data)
            more = await stream.recv(65536, self.left())
            if not more:
                words = "the answer is cut off" if count else "the connection was closed without an answer"
                raise BadResponse(502, words)
            data += more
            count += len(more)
            while True:
                head = HTTP1.read_head(data, seen)
                if head is None:
                    break
                if head.version == 9:
                    raise BadResponse(502, "the answer is not HTTP")
                if head.status >= 200 or head.status == 101:
                    return head, data[head.length :]
                data, seen = data[head.length :], 0
        raise BadResponse(502, "the head of the answer is too long")

    async def body(self, stream: Stream, framing: Framing, rest: bytes, most: int) -> bytes:
        """Read a body of which `rest` is there: as far as `framing` says, as it comes, and `most` bytes at most. Raises
        `BadResponse`, `NetError`."""
        gathered = bytearray(framing.feed(rest)) if rest else bytearray()
        while not framing.done and len(gathered) < most:
            data = await stream.recv(65536, self.left())
            if not data:
                break
            gathered += framing.feed(data)
        return bytes(gathered[:most])
