"""The body of an answer that goes into a file and to a client: it is read as fast as the backend gives it, into the
file, and the client reads behind. A client that goes, or wants a part only, changes nothing about what is kept.
"""

from __future__ import annotations

from collections import deque
from time import time
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber
from penstock.upstream.errors import AnswerCut
from penstock.upstream.exchange.nobody import Nobody
from penstock.upstream.exchange.temp_file import CannotKeep
from penstock.upstream.read_ahead import PIECE, ReadAhead

if TYPE_CHECKING:
    from penstock.upstream.cache.keeping import Keeping
    from penstock.upstream.cache.stored import StoredFile
    from penstock.upstream.exchange.incoming import Incoming


class Filling(ReadAhead):
    """A body that is read into a file. Where that fails, it goes on to the client alone: what has not been
    taken waits in `_queue`, up to what the location lets wait in memory."""

    __slots__ = ("_at", "_failed", "_held", "_keeping", "_left", "_queue")

    def __init__(self, incoming: Incoming, first: bytes, keeping: Keeping | StoredFile) -> None:
        super().__init__(incoming)
        self._keeping = keeping
        self._at = 0
        self._queue: deque[bytes] = deque()
        self._held = 0
        self._failed = self._left = False
        self._start(self._fill(first))

    def _next(self) -> bytes:
        if self._at < self._keeping.length:
            try:
                piece = self._keeping.read(self._at, min(PIECE, self._keeping.length - self._at))
            except CannotKeep as error:
                self._say(error)
                raise AnswerCut(0, "read") from None
            if not piece:
                raise AnswerCut(0, "read")
            self._at += len(piece)
            if self._failed and self._at == self._keeping.length:
                self._close()  # on a full disk, perhaps: somebody else needs the room
        elif self._queue:
            piece = self._queue.popleft()
            self._held -= len(piece)
        else:
            piece = b""
        return piece

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
        if self._failed and self._pump is not None:
            self._pump.cancel()

    # -- the backend's side ---------------------------------------------------------------------------------------

    async def _fill(self, first: bytes) -> None:
        incoming = self._incoming
        memory = incoming.exchange.policy.memory
        piece = first or await incoming.read(PIECE)
        while piece:
            if not self._failed:
                self._append(piece)
            if self._failed:
                if self._left:
                    return
                self._queue.append(piece)
                self._held += len(piece)
            if incoming.done:
                break  # who has all of it finds it kept
            self._wake()
            while self._held >= memory and not self._left:
                await self._stall()
            piece = await incoming.read(PIECE)
        if not self._failed:
            try:
                self._keeping.complete(int(time()))
            except CannotKeep as error:
                self._say(error)

    def _append(self, piece: bytes) -> None:
        try:
            self._keeping.append(piece)
        except CannotKeep as error:
            self._failed = True
            self._say(error)
            self._give_up()

    def _has_read(self, pump: Fiber[None]) -> None:
        self._give_up()
        if self._left:
            self._incoming.close()
            self._close()
        super()._has_read(pump)

    def _give_up(self) -> None:
        try:
            self._keeping.give_up()
        except CannotKeep as error:
            self._say(error)

    def _close(self) -> None:
        try:
            self._keeping.close()
        except CannotKeep as error:
            self._say(error)

    def _say(self, error: CannotKeep) -> None:
        self._incoming.exchange.log("crit", f"{error}, while an upstream response was {self._keeping.deed}")
