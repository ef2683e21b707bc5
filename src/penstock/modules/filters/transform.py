"""Bodies that change on their way: what filters such as gzip put around a body, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Protocol

from penstock.http.etag import weakened
from penstock.http.request import Answer, Body, FilePart, Request
from penstock.modules.filters.bodies import pieces

PIECE = 65536


class TransformStage(Protocol):
    """One change. `swells` says that a little input may make any amount of output, which then comes in pieces."""

    swells: bool

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Return what may go out after `data` has come in."""
        ...

    def flush(self) -> Iterable[bytes]:
        """Return what can go out without waiting for more."""
        ...

    def finish(self) -> Iterable[bytes]:
        """Return the rest."""
        ...


def transform(request: Request, answer: Answer, stage: TransformStage) -> None:
    """Put a stage around the answer's body. Its length is not known any more, and its tag is a weak one."""
    answer.length = None
    answer.allow_ranges = False
    answer.drop("accept-ranges")
    if answer.etag is not None:
        answer.etag = weakened(answer.etag)
    put_around(request, answer, stage)


def put_around(request: Request, answer: Answer, stage: TransformStage) -> None:
    """Put a stage around the answer's body, and say nothing of it in the head."""
    body = answer.body
    if request.method == "HEAD":
        return
    if isinstance(body, bytes) and len(body) <= PIECE and not stage.swells:
        answer.body = b"".join((*stage.feed(body), *stage.finish()))
        return
    answer.body = Transformed(body, stage)


class Transformed:
    """A body behind a stage. If pieces are not to be held back (`flushes`), each goes out before the next comes."""

    __slots__ = ("_ended", "_hogs", "_out", "_pieces", "_stage", "flushes")

    def __init__(self, body: Body, stage: TransformStage) -> None:
        self.flushes: bool = getattr(body, "flushes", False)
        self._pieces = pieces(body)
        self._hogs = isinstance(body, (bytes, list, FilePart))
        self._stage = stage
        self._out: Iterator[bytes] = iter(())
        self._ended = False

    def __aiter__(self) -> Transformed:
        return self

    async def __anext__(self) -> bytes:
        while True:
            for piece in self._out:
                if piece:
                    return piece
            if self._ended:
                raise StopAsyncIteration
            try:
                data = await self._pieces.__anext__()
            except StopAsyncIteration:
                self._ended = True
                self._out = iter(self._stage.finish())
                continue
            self._out = self._fed(data) if self.flushes else iter(self._stage.feed(data))
            if self._hogs:
                await asyncio.sleep(0)  # a file never waits, so others would have to

    def _fed(self, data: bytes) -> Iterator[bytes]:
        stage = self._stage
        if stage.swells:
            yield from stage.feed(data)
            yield from stage.flush()
        else:
            yield b"".join((*stage.feed(data), *stage.flush()))

    def close(self) -> None:
        """Let go of the body: nobody reads on."""
        self._pieces.close()
