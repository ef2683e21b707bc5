"""The body of a request on its way to a backend: none, in memory, spooled in a file, or straight from the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from penstock.net.errors import NetError, TimedOut
from penstock.upstream.errors import failed, timed_out

if TYPE_CHECKING:
    from penstock.http.request import RequestBody
    from penstock.net.stream import Buffer, Stream
    from penstock.upstream.spool import Spooled


class Outgoing(Protocol):
    """`inline` goes out in one write with the head. `replayable`: it can be sent again, to another peer."""

    inline: bytes
    replayable: bool

    async def send(self, stream: Stream, timeout: float) -> None:
        """Send what is not `inline`. Raises `ProxyError`, and what the client's side raises."""
        ...

    @property
    def whole(self) -> bool:
        """Nothing is left once `inline` has gone."""
        ...


class InMemory:
    """A body, perhaps empty, that goes out with the head."""

    __slots__ = ("inline",)
    replayable = True
    whole = True

    def __init__(self, data: bytes) -> None:
        self.inline = data

    async def send(self, stream: Stream, timeout: float) -> None:
        return None


NOTHING = InMemory(b"")


class FromSpool:
    """A body that was read wholly before, part of it into a file."""

    __slots__ = ("_body", "inline")
    replayable = True
    whole = False

    def __init__(self, body: Spooled) -> None:
        self._body = body
        self.inline = b""

    async def send(self, stream: Stream, timeout: float) -> None:
        body = self._body
        if body.memory:
            await push(stream, body.memory, timeout)
        if body.file is not None:
            try:
                await stream.sendfile(body.file.fd, 0, body.file.size, timeout)
            except TimedOut as error:
                raise timed_out("sending request to upstream", error) from None
            except NetError as error:
                raise failed(f"{error} while sending request to upstream", cause=error) from None


class Streamed:
    """A body that is passed on as it arrives, in chunks where its length is not known."""

    __slots__ = ("_body", "_chunked", "inline")
    replayable = False
    whole = False

    def __init__(self, body: RequestBody, *, chunked: bool) -> None:
        self._body = body
        self._chunked = chunked
        self.inline = b""

    async def send(self, stream: Stream, timeout: float) -> None:
        body = self._body
        chunked = self._chunked
        while True:
            piece = await body.read()
            if not piece:
                break
            await push(stream, b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece, timeout)
        if chunked:
            await push(stream, b"0\r\n\r\n", timeout)


async def push(stream: Stream, data: Buffer, timeout: float) -> None:
    """Send all of `data` to a backend. Raises `ProxyError`."""
    try:
        await stream.send_all(data, timeout)
    except TimedOut as error:
        raise timed_out("sending request to upstream", error) from None
    except NetError as error:
        raise failed(f"{error} while sending request to upstream", cause=error) from None
