"""The body of an answer that goes into a cache and to a client: it is read as fast as the backend gives it, into the
file, and the client reads behind. A client that goes, or wants a part only, changes nothing about what is kept.
"""

from __future__ import annotations

from collections import deque
from time import time
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber, current, pause
from penstock.upstream.errors import AnswerCut, ProxyError
from penstock.upstream.exchange.nobody import Nobody
from penstock.upstream.exchange.temp_file import CannotKeep

if TYPE_CHECKING:
    from penstock.upstream.cache.keeping import Keeping
    from penstock.upstream.exchange.incoming import Incoming

PIECE = 65536


class Filling:
    """A body that is read into a cache's file. Where the file fails, it goes on to the client alone: what has not been
    taken waits in `_queue`, up to what the location lets wait in memory."""

    __slots__ = (
        "_at",
        "_consumer",
        "_ended",
        "_error",
        "_failed",
        "_held",
        "_incoming",
        "_keeping",
        "_left",
        "_pump",
        "_queue",
        "_stalled",
    )

    def __init__(self, incoming: Incoming, first: bytes, keeping: Keeping) -> None:
        self._incoming = incoming
        self._keeping = keeping
        self._at = 0
        self._queue: deque[bytes] = deque()
        self._held = 0
        self._consumer: Fiber[object] | None = None
        self._error: BaseException | None = None
        self._failed = self._ended = self._left = self._stalled = False
        self._pump: Fiber[None] = Fiber(self._fill(first))
        self._pump.keep_error = True
        self._pump.on_done(self._filled)
        self._pump.resume()

    def __aiter__(self) -> Filling:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._at < self._keeping.length:
                try:
                    piece = self._keeping.read(self._at, min(PIECE, self._keeping.length - self._at))
                except CannotKeep as error:
                    self._say(error)
                    raise AnswerCut(0, "read") from None
                if not piece:
                    raise AnswerCut(0, "read")
                self._at += len(piece)
                return piece
            if self._queue:
                piece = self._queue.popleft()
                self._held -= len(piece)
                if self._stalled:
                    self._stalled = False
                    self._pump.resume()
                return piece
            if self._ended:
                return self._at_end()
            self._consumer = current()
            try:
                await pause()
            finally:
                self._consumer = None

    def close(self) -> None:
        """Let go of it: the client wants no more. What is being kept goes on being read."""
        if self._left:
            return
        self._left = True
        self._queue.clear()
        if self._ended:
            self._error = None
            self._keeping.close()
            return
        exchange = self._incoming.exchange
        exchange.stream = Nobody(exchange.stream.loop)  # type: ignore[assignment]
        if self._failed:
            self._pump.cancel()

    def _at_end(self) -> bytes:
        error = self._error
        try:
            if isinstance(error, ProxyError):
                raise AnswerCut(error.status, "recv") from error
            if error is not None:
                raise error
        finally:
            del error  # or its traceback would lead to itself
        raise StopAsyncIteration

    # -- the backend's side ---------------------------------------------------------------------------------------

    async def _fill(self, first: bytes) -> None:
        incoming = self._incoming
        memory = incoming.exchange.policy.memory
        piece = first or await incoming.read(PIECE)
        while piece:
            if not self._failed:
                try:
                    self._keeping.append(piece)
                except CannotKeep as error:
                    self._failed = True
                    self._say(error)
                    self._keeping.give_up()
            if self._failed:
                if self._left:
                    return
                self._queue.append(piece)
                self._held += len(piece)
            if self._consumer is not None:
                self._consumer.resume()
            while self._held >= memory and not self._left:
                self._stalled = True
                await pause()
            piece = await incoming.read(PIECE)
        if not self._failed:
            try:
                self._keeping.complete(int(time()))
            except CannotKeep as error:
                self._say(error)

    def _filled(self, pump: Fiber[None]) -> None:
        self._ended = True
        self._error = pump.take_error()
        self._keeping.give_up()
        if self._left:
            self._error = None
            self._incoming.close()
            try:
                self._keeping.close()
            except CannotKeep as error:
                self._say(error)
        elif self._consumer is not None:
            self._consumer.resume()

    def _say(self, error: CannotKeep) -> None:
        self._incoming.exchange.log("crit", f"{error}, while an upstream response was put into the cache")
