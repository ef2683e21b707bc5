"""The body of an answer that a fiber of its own reads, ahead of who takes it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber, current, pause
from penstock.upstream.errors import AnswerCut, ProxyError

if TYPE_CHECKING:
    from typing import Self

    from penstock.upstream.exchange.incoming import Incoming

PIECE = 65536


class ReadAhead:
    """What keeps the two sides going: one takes pieces (`_next`), the other (`_start`) reads them, wakes the first when
    there is something (`_wake`), and waits where there is enough (`_stall`)."""

    __slots__ = ("_consumer", "_ended", "_error", "_incoming", "_pump", "_stalled")

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._pump: Fiber[None] | None = None
        self._consumer: Fiber[object] | None = None
        self._stalled = self._ended = False
        self._error: BaseException | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            piece = self._next()
            if piece:
                if self._stalled and self._pump is not None:
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

    def _next(self) -> bytes:
        """Take what is there; b"" where there is nothing yet. Raises `AnswerCut`."""
        raise NotImplementedError

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

    def _start(self, reading: Coroutine[object, None, None]) -> None:
        self._pump = pump = Fiber(reading)
        pump.keep_error = True
        pump.on_done(self._has_read)
        pump.resume()

    def _has_read(self, pump: Fiber[None]) -> None:
        error = pump.take_error()
        if self._pump is not pump:
            return  # it was closed: nobody asks what became of it
        self._pump = None
        self._ended = True
        self._error = error  # whatever it is, the consumer raises it where it can be dealt with
        self._wake()

    def _wake(self) -> None:
        """Let who takes it go on: there is something, or the end."""
        if self._consumer is not None:
            self._consumer.resume()

    async def _stall(self) -> None:
        """Wait until a piece has been taken."""
        self._stalled = True
        await pause()
