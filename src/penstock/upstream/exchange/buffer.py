"""An answer between a backend and a client that may be slower: in memory, then in a temporary file, then not read on.

A fiber of its own reads the backend, so that the backend is given back as soon as it has said all it has to say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from penstock.http.rate import allowance, delay
from penstock.upstream.errors import AnswerCut
from penstock.upstream.exchange.temp_file import CannotKeep, TempFile
from penstock.upstream.read_ahead import PIECE, ReadAhead

if TYPE_CHECKING:
    from penstock.upstream.exchange.incoming import Incoming


class Buffered(ReadAhead):
    """The body of an answer, read ahead of the client.

    Pieces wait in `_queue`, bytes or stretches (offset, count) of the file. `rate` bounds reading, in bytes a second.
    """

    __slots__ = ("_file", "_held", "_policy", "_queue", "_rate", "_spill", "_unread")

    def __init__(self, incoming: Incoming, first: bytes, rate: int) -> None:
        super().__init__(incoming)
        self._policy = policy = incoming.exchange.policy
        self._spill = policy.spill
        """How much may go to the file: nothing any more once it has failed."""
        self._queue: deque[bytes | tuple[int, int]] = deque((first,) if first else ())
        self._held = len(first)
        self._unread = 0
        self._rate = rate
        self._file: TempFile | None = None

    def _next(self) -> bytes:
        if self._pump is None and not self._ended:
            self._start(self._read_on())
        if not self._queue:
            return b""
        piece = self._queue.popleft()
        if isinstance(piece, tuple):
            return self._from_file(piece)
        self._held -= len(piece)
        return piece

    def close(self) -> None:
        """Give everything back: nobody reads on."""
        pump, self._pump = self._pump, None
        self._ended = True
        if pump is not None and not pump.done:
            pump.cancel()
        self._error = None
        self._queue.clear()
        self._incoming.close()
        if self._file is not None:
            self._file.remove()
            self._file = None

    def _from_file(self, stretch: tuple[int, int]) -> bytes:
        offset, count = stretch
        file = self._file
        assert file is not None
        try:
            piece = file.read(offset, min(count, PIECE))
        except CannotKeep as error:
            self._say(error)
            raise AnswerCut(0, "read") from None
        if not piece:
            raise AnswerCut(0, "read")
        if count > len(piece):
            self._queue.appendleft((offset + len(piece), count - len(piece)))
        self._unread -= len(piece)
        if self._unread == 0:
            if self._spill:
                file.restart()
            else:  # it has failed, on a full disk perhaps: somebody else needs the room
                file.remove()
                self._file = None
        return piece

    # -- the backend's side ---------------------------------------------------------------------------------------

    async def _read_on(self) -> None:
        incoming = self._incoming
        hot = incoming.exchange.stream.hot
        started = hot.now
        rate = self._rate
        count = self._held
        most = PIECE
        while True:
            if rate:
                most = allowance(rate, hot.now - started, count)
                if most <= 0:
                    await asyncio.sleep(delay(rate, most))
                    continue
                most = min(most, PIECE)
            piece = await incoming.read(most)
            if not piece:
                return
            self._add(piece)
            count += len(piece)
            self._wake()
            while self._full():
                await self._stall()

    def _full(self) -> bool:
        """Return whether the client must take something before more is read."""
        if self._held < self._policy.memory:
            return False
        return not self._spill or (self._file is not None and self._file.size >= self._spill)

    def _add(self, piece: bytes) -> None:
        if self._held + len(piece) > self._policy.memory and self._spill and self._queue and self._spilled(piece):
            return
        self._queue.append(piece)
        self._held += len(piece)

    def _spilled(self, piece: bytes) -> bool:
        """Put it into the file. Where that can not be, the answer goes on without: the backend is read only as fast as
        the client takes it."""
        try:
            if self._file is None:
                self._file = self._make_file()
            if self._file.size >= self._spill:
                return False
            self._write(self._file, piece)
        except CannotKeep as error:
            self._spill = 0
            self._say(error)
            return False
        return True

    def _say(self, error: CannotKeep) -> None:
        self._incoming.exchange.log("crit", f"{error}, while buffering an upstream response")

    def _write(self, file: TempFile, piece: bytes) -> None:
        offset = file.size
        file.append(piece)
        self._unread += len(piece)
        last = self._queue[-1]
        if isinstance(last, tuple) and last[0] + last[1] == offset:
            self._queue[-1] = (last[0], last[1] + len(piece))
        else:
            self._queue.append((offset, len(piece)))

    def _make_file(self) -> TempFile:
        exchange = self._incoming.exchange
        folder = self._policy.folder
        assert folder is not None
        file = TempFile(folder)
        exchange.log(
            "warn",
            f"an upstream response is buffered to a temporary file {file.path} while reading upstream",
        )
        return file
