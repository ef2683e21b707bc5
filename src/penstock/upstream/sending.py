"""The body of a request on its way to a backend: none, in memory, spooled in a file, or straight from the client."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol

from penstock.http.chunked import LAST_CHUNK, encode_chunk
from penstock.net.errors import NetError, TimedOut
from penstock.upstream.errors import failed, timed_out
from penstock.upstream.spool import Spooled

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.net.stream import Buffer, Stream


class Outgoing(Protocol):
    """`inline` goes out in one write with the head, and that is all of it if it is `whole`; what is not is sent by
    `send`. `replayable`: it can be sent again, to another peer.
    """

    inline: bytes
    replayable: bool
    whole: bool

    async def send(self, stream: Stream, head: bytes, timeout: float) -> None:
        """Send the head and the body. Raises `ProxyError`, and what the client's side raises."""
        ...


class InMemory:
    """A body, perhaps empty, that goes out with the head."""

    __slots__ = ("inline",)
    replayable = True
    whole = True

    def __init__(self, data: bytes) -> None:
        self.inline = data

    async def send(self, stream: Stream, head: bytes, timeout: float) -> None:
        await push(stream, head + self.inline, timeout)


NOTHING = InMemory(b"")


class FromSpool:
    """A body that was read wholly before, part of it into a file."""

    __slots__ = ("_body", "inline")
    replayable = True
    whole = False

    def __init__(self, body: Spooled) -> None:
        self._body = body
        self.inline = b""

    async def send(self, stream: Stream, head: bytes, timeout: float) -> None:
        body = self._body
        await push(stream, head + body.memory, timeout)
        if body.file is not None:
            try:
                await stream.sendfile(body.file.fd, 0, body.file.size, timeout)
            except TimedOut as error:
                raise timed_out("sending request to upstream", error) from None
            except NetError as error:
                raise failed(f"{error} while sending request to upstream", cause=error) from None


class Streamed:
    """A body that is passed on as it arrives, in chunks where its length is not known.

    What has gone is remembered as long as it is not more than `keep` bytes; if that was all of it, the request has its
    body in memory afterwards, as if it had been read before.
    """

    __slots__ = ("_chunked", "_keep", "_request", "inline")
    replayable = False
    whole = False

    def __init__(self, request: Request, keep: int, *, chunked: bool) -> None:
        self._request = request
        self._keep = keep
        self._chunked = chunked
        self.inline = b""

    async def send(self, stream: Stream, head: bytes, timeout: float) -> None:
        body = self._request.body
        chunked = self._chunked
        kept: list[bytes] | None = []
        reading = Started(body.read())
        if not reading.done:
            await push(stream, head, timeout)
            head = b""
        piece = await reading
        while piece:
            if kept is not None:
                kept.append(piece)
                if body.received > self._keep:
                    kept = None
            await push(stream, head + (encode_chunk(piece) if chunked else piece), timeout)
            head = b""
            piece = await body.read()
        if chunked or head:
            await push(stream, head + LAST_CHUNK if chunked else head, timeout)
        if kept is not None:
            self._request.body = Spooled(b"".join(kept), None, body.received)


class Started:
    """A coroutine that was begun at once: `done` tells whether it has ended without waiting. Await it for its result.

    So the first bytes of a body leave in one segment with the head, if they are here already.
    """

    __slots__ = ("_coro", "_result", "_waits_for", "done")

    def __init__(self, coro: Coroutine[Any, Any, bytes]) -> None:
        self._coro = coro
        self._result = b""
        self._waits_for: Any = None
        self.done = False
        try:
            self._waits_for = coro.send(None)
        except StopIteration as end:
            self._result = end.value
            self.done = True

    def __await__(self) -> Generator[Any, Any, bytes]:
        if self.done:
            return self._result
        coro, waits_for = self._coro, self._waits_for
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # it is the coroutine's: it goes on, or ends, with it
                    waits_for = coro.throw(error)
                else:
                    waits_for = coro.send(sent)
        except StopIteration as end:
            result: bytes = end.value
            return result


async def push(stream: Stream, data: Buffer, timeout: float) -> None:
    """Send all of `data` to a backend. Raises `ProxyError`."""
    try:
        await stream.send_all(data, timeout)
    except TimedOut as error:
        raise timed_out("sending request to upstream", error) from None
    except NetError as error:
        raise failed(f"{error} while sending request to upstream", cause=error) from None
