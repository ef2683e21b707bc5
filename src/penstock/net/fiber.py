"""A coroutine driven straight from a hot descriptor, without an asyncio task.

A fiber runs until it pauses; whoever it waits for (a stream, an alarm, another fiber) calls `resume()`, and
the coroutine goes on inside that call. Nothing is queued and no object is made per switch. It may also await
asyncio futures and everything built on them, except what insists on `asyncio.current_task()`.

Every wait in this floor takes a wake-up as a hint and looks again, so that one wake-up too many does no harm.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from penstock.net.errors import TimedOut

if TYPE_CHECKING:
    from penstock.net.timers import Alarm

T = TypeVar("T")


class Cancelled(BaseException):
    """Thrown into a fiber to end it; coming out of it again, it is no crash."""


PAUSED = object()
"""What a wait of ours yields. A bare `yield` is asyncio's way to let others have their turn."""


@types.coroutine
def pause() -> Generator[object, None, None]:
    """Wait until somebody calls `resume()` of the fiber that awaits this."""
    yield PAUSED


# Any: the result of a fiber concerns who waits for it, and asyncio's futures give whatever they give.
def _crash(fiber: Fiber[Any], exc: BaseException) -> None:
    sys.excepthook(type(exc), exc, exc.__traceback__)


on_crash: Callable[[Fiber[Any], BaseException], None] = _crash
"""Called with what came out of a fiber that nobody joins. Assign `fiber.on_crash` in this module to replace
it."""

running: Fiber[Any] | None = None
"""The fiber that runs now, for who waits so often that the call of `current` can be felt (340 instructions)."""


def current() -> Fiber[Any]:
    """Return the fiber that runs now; `RuntimeError` outside of any."""
    if running is None:
        raise RuntimeError("this may only be awaited inside a fiber")
    return running


def spawn(coro: Coroutine[object, None, T]) -> Fiber[T]:
    """Start a fiber at once: `coro` has run up to its first pause when this returns."""
    fiber = Fiber(coro)
    fiber.resume()
    return fiber


def forget_frames(error: BaseException) -> None:
    """Let go of the frames that an error has passed, and those before it: they hold what they worked on."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__context__


async def _awaiting(wait: Any) -> Any:
    return await wait


class Fiber(Generic[T]):
    """One coroutine and where it stands. `done` is true once it has ended, in whatever way.

    `keep_error`: what comes out of it is somebody's (who joins it), and no crash.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_coro",
        "_error",
        "_future",
        "_pending",
        "_result",
        "_running",
        "alarm",
        "done",
        "keep_error",
    )

    def __init__(self, coro: Coroutine[object, None, T]) -> None:
        if isinstance(coro, types.GeneratorType):  # a wait, which is a generator because that is cheaper: `_waiting`
            coro = _awaiting(coro)
        self._coro: Coroutine[object, None, T] | None = coro
        self._callbacks: list[Callable[[Fiber[T]], None]] | None = None
        self._future: asyncio.Future[Any] | None = None
        self._pending: BaseException | None = None
        self._running = False
        self._result: T | None = None
        self._error: BaseException | None = None
        self.done = False
        self.keep_error = False
        self.alarm: Alarm | None = None

    def resume(self) -> None:
        """Go on at the pause. A fiber that is running (further up the stack) goes on once asyncio gets its turn."""
        global running
        if self._running:
            asyncio.get_running_loop().call_soon(self._resume_later)
            return
        if self._future is not None or self._coro is None:
            return
        previous = running
        running = self
        self._running = True
        try:
            yielded = self._coro.send(None)
        except BaseException as exc:
            self._running = False
            running = previous
            self._end(exc)
            return
        self._running = False
        running = previous
        if yielded is not PAUSED or self._pending is not None:
            self._suspended(yielded)

    def interrupt(self, exc: BaseException) -> None:
        """Throw `exc` into the coroutine where it waits.

        If it is running, or not started yet, it meets `exc` at its next pause. If it is done, nothing
        happens."""
        if self.done:
            return
        coro = self._coro
        assert coro is not None
        if not coro.cr_suspended:  # type: ignore[attr-defined]
            self._pending = exc
            return
        if self._future is not None:
            self._future.remove_done_callback(self._future_done)
            self._future = None
        self._throw(exc)

    def __call__(self) -> None:
        """Its alarm has come up: what it waits for takes too long. Throws `TimedOut` into it."""
        self.interrupt(TimedOut())

    def cancel(self) -> None:
        """End the fiber with `Cancelled` at its wait."""
        self.interrupt(Cancelled())

    def on_done(self, callback: Callable[[Fiber[T]], None]) -> None:
        """Call `callback(fiber)` when the fiber has ended; at once, if it has already."""
        if self.done:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    async def join(self) -> T:
        """Wait for the end; give the result, or raise what came out (which then is no crash)."""
        if not self.done:
            me = current()
            self.keep_error = True

            def ended(_: Fiber[T]) -> None:
                me.resume()

            self.on_done(ended)
            try:
                while not self.done:
                    await pause()
            finally:
                if self._callbacks is not None:
                    self._callbacks.remove(ended)
        return self.outcome()

    def outcome(self) -> T:
        """Return what a fiber that is done gave, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def take(self) -> T:
        """Do what `outcome` does, for the only one who asks: it is kept no longer. An error leads through the frames in
        its traceback to the fiber, which would lead back to it."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self._result  # type: ignore[return-value]

    @property
    def error(self) -> BaseException | None:
        """Return what came out of it, if that was an error."""
        return self._error

    def take_error(self) -> BaseException | None:
        """Do what `take` does, for the error alone."""
        error, self._error = self._error, None
        return error

    def _resume_later(self) -> None:
        if not self._running and not self.done:
            self.resume()

    def _throw(self, exc: BaseException) -> None:
        global running
        coro = self._coro
        assert coro is not None
        previous = running
        running = self
        self._running = True
        try:
            yielded = coro.throw(exc)
        except BaseException as raised:
            self._running = False
            running = previous
            self._end(raised)
            return
        self._running = False
        running = previous
        if yielded is not PAUSED or self._pending is not None:
            self._suspended(yielded)

    def _suspended(self, yielded: Any) -> None:
        """The coroutine has paused on a future, or an exception was left for it while it ran."""
        pending = self._pending
        if pending is not None:
            self._pending = None
            if yielded is not PAUSED and yielded is not None:
                yielded._asyncio_future_blocking = False
            self._throw(pending)
            return
        if getattr(yielded, "_asyncio_future_blocking", None):
            yielded._asyncio_future_blocking = False
            self._future = yielded
            yielded.add_done_callback(self._future_done)
            return
        if yielded is None:  # asyncio.sleep(0): let the others have their turn
            asyncio.get_running_loop().call_soon(self._resume_later)
            return
        self._throw(RuntimeError(f"a fiber cannot wait for {yielded!r}"))

    def _future_done(self, future: asyncio.Future[Any]) -> None:
        if self._future is future:
            self._future = None
            self.resume()

    def _end(self, exc: BaseException) -> None:
        self.done = True
        self._coro = None
        self._pending = None
        if self.alarm is not None:
            self.alarm.close()
            self.alarm = None
        callbacks, self._callbacks = self._callbacks, None
        if isinstance(exc, StopIteration):
            self._result = exc.value
        elif isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise exc
        else:
            self._error = exc
            cancelled = isinstance(exc, (Cancelled, asyncio.CancelledError))
            if not self.keep_error and not cancelled:
                on_crash(self, exc)
            # The frames lead back to this fiber, and on to all that it, and who ended it, worked on.
            if not self.keep_error or cancelled or getattr(exc, "expected", False):
                forget_frames(exc)
        if callbacks is not None:
            for callback in callbacks:
                callback(self)
