"""The body of a request on its way to a backend: none, in memory, spooled in a file, or straight from the client."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol

from penstock.http.chunked import LAST_CHUNK, encode_chunk
from penstock.net.errors import NetError, TimedOut
from penstock.upstream.errors import failed, timed_out
from penstock.upstream.exchange.spool import Spooled

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.net.stream import Buffer, Stream
    from penstock.upstream.exchange.temp_file import TempFile


class Coding(Protocol):
    """How a protocol writes a body: in pieces, and what says that there is no more."""

    @property
    def end(self) -> bytes:
        """Return the bytes that say that the body is over."""
        ...

    def piece(self, data: bytes) -> bytes:
        """Write a part of a body, of any length but 0."""
        ...


class RecordCoding(Coding, Protocol):
    """A coding whose pieces say in front how long they are, and end without another word. `longest`: bytes of the
    largest."""

    @property
    def longest(self) -> int:
        """Return how many bytes one piece may carry."""
        ...

    def head(self, count: int) -> bytes:
        """Write what stands before `count` bytes that follow by themselves."""
        ...


class ChunkCoding:
    """The chunked coding of HTTP/1.1, for what comes in pieces."""

    __slots__ = ()
    end = LAST_CHUNK

    def piece(self, data: bytes) -> bytes:
        return encode_chunk(data)


CHUNKS = ChunkCoding()


class OutgoingBody(Protocol):
    """`inline` goes out in one write with the head, and that is all of it if it is `whole`; what is not is sent by
    `send`. `replayable`: it can be sent again, to another peer.
    """

    inline: bytes
    replayable: bool
    whole: bool

    async def send(self, stream: Stream, head: bytes, timeout: float) -> None:
        """Send the head and the body. Raises `ProxyError`, and what the client's side raises."""
        ...

    def coded(self, coding: RecordCoding) -> OutgoingBody:
        """Return the same body for a protocol that codes it, whoever gave it."""
        ...


class InMemory:
    """A body, perhaps empty, that goes out with the head."""

    __slots__ = ("inline",)
    replayable = True
    whole = True

    def __init__(self, data: bytes) -> None:
        self.inline = data

    async def send(self, stream: Stream, head: bytes, timeout: float) -> None:
        """Send the head and the body in one write. Raises `ProxyError`."""
        await push(stream, head + self.inline, timeout)

    def coded(self, coding: RecordCoding) -> OutgoingBody:
        return InMemory(coding.piece(self.inline) + coding.end if self.inline else coding.end)


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
        """Send the head and what is in memory, then the file, without copying it. Raises `ProxyError`."""
        body = self._body
        await push(stream, head + body.memory, timeout)
        if body.file is not None:
            await _stretch(stream, body.file, 0, body.file.size, timeout)

    def coded(self, coding: RecordCoding) -> OutgoingBody:
        return CodedSpool(self._body, coding)


class CodedSpool(FromSpool):
    """A body that was read wholly before, in pieces that each say how long they are."""

    __slots__ = ("_coding",)

    def __init__(self, body: Spooled, coding: RecordCoding) -> None:
        super().__init__(body)
        self._coding = coding

    async def send(self, stream: Stream, head: bytes, timeout: float) -> None:
        """Send the head, then memory and file in records of the protocol. Raises `ProxyError`."""
        body, coding = self._body, self._coding
        if body.memory:
            head += coding.piece(body.memory)
        if body.file is not None:
            for at in range(0, body.file.size, coding.longest):
                count = min(coding.longest, body.file.size - at)
                await push(stream, head + coding.head(count), timeout)
                head = b""
                await _stretch(stream, body.file, at, count, timeout)
        await push(stream, head + coding.end, timeout)


async def _stretch(stream: Stream, file: TempFile, at: int, count: int, timeout: float) -> None:
    try:
        await stream.sendfile(file.fd, at, count, timeout)
    except TimedOut as error:
        raise timed_out("sending request to upstream", error) from None
    except NetError as error:
        raise failed(f"{error} while sending request to upstream", cause=error) from None


class Streamed:
    """A body that is passed on as it arrives, by a `coding` where the protocol or its unknown length ask for one.

    What has gone is remembered as long as it is not more than `keep` bytes; if that was all of it, the request has its
    body in memory afterwards, as if it had been read before.
    """

    __slots__ = ("_coding", "_keep", "_request", "inline")
    replayable = False
    whole = False

    def __init__(self, request: Request, keep: int, coding: Coding | None) -> None:
        self._request = request
        self._keep = keep
        self._coding = coding
        self.inline = b""

    def coded(self, coding: RecordCoding) -> OutgoingBody:
        return Streamed(self._request, self._keep, coding)

    async def send(self, stream: Stream, head: bytes, timeout: float) -> None:
        """Send the head, with what of the body is there already, and the rest as the client sends it. Raises
        `ProxyError`, and what the client's side raises."""
        body = self._request.body
        coding = self._coding
        kept: list[bytes] | None = []
        reading = Started(body.read())
        if not reading.done:
            await push(stream, head, timeout)
            head = b""
        piece = await reading
        end = b"" if coding is None else coding.end
        while piece:
            if kept is not None:
                kept.append(piece)
                if body.received > self._keep:
                    kept = None
            head += piece if coding is None else coding.piece(piece)
            if body.done:  # the end leaves with the last piece, where that is known to be the last
                head, end = head + end, b""
            await push(stream, head, timeout)
            head = b""
            piece = await body.read()
        if head or end:
            await push(stream, head + end, timeout)
        if kept is not None:
            self._request.body = Spooled(b"".join(kept), None, body.received)


class Started:
    """A coroutine that was begun at once: `done` tells whether it has ended without waiting. Await it for its result.

    So the first bytes of a body leave in one segment with the head, if they are here already.
    """

    __slots__ = ("_coro", "_result", "_waits_for", "done")

    def __init__(self, coro: Coroutine[object, None, bytes]) -> None:
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
