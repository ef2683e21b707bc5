"""Waiting on a descriptor: the part of a stream that epoll sees.

One fiber may wait to read and one to write. The descriptor is registered at the first wait and stays: an
exchange of requests and answers over a kept connection makes no `epoll_ctl` call at all. Reading is turned
off only when something arrives that nobody waits for (a pipelined request), writing when nobody waits to
write any more."""

from __future__ import annotations

import types
from collections.abc import Callable, Generator, Sequence
from math import inf
from typing import Protocol, TypeVar

from penstock.net.errors import NetError
from penstock.net.fiber import PAUSED, Fiber, current, pause
from penstock.net.loop import ERR, HUP, IN, OUT, RDHUP, HotSelector, Loop
from penstock.net.timers import Alarm

GREED = 2
"""Long reads that fibers may do in one turn of the loop: beyond, tunnels beside a download would feel it. Without a
bound their latency was 40 times what it was, with this one 2.7 times (experiments/tunnels.md)."""

_READING = IN | RDHUP | HUP | ERR
_WRITING = OUT | HUP | ERR
_GONE = RDHUP | HUP | ERR


class Closed(NetError):
    """The stream was closed by another fiber while this one waited on it."""


class Waiter(Protocol):
    """Who waits: a fiber, or what stands in for one."""

    def resume(self) -> None:
        """Go on: what was waited for may have come."""

    def interrupt(self, exc: BaseException, /) -> None:
        """Give up: what was waited for will not come."""


class Waiting:
    """A descriptor and who waits for it. `fd` is -1 once it is closed or given away.

    `ready` is a hint: something may be read without waiting. On an idle stream it says that something came
    unasked. `hung_up`: the peer's end was seen, though bytes may still be there before it. `on_hangup` is
    called at most once, when the peer hangs up while nobody reads."""

    __slots__ = ("_mask", "_reader", "_writer", "fd", "hot", "hung_up", "loop", "on_hangup", "ready")

    def __init__(self, fd: int, loop: Loop) -> None:
        self.fd = fd
        self.loop = loop
        self.hot: HotSelector = loop.hot
        self.on_hangup: Callable[[], None] | None = None
        self.ready = False
        self.hung_up = False
        self._mask = 0
        self._reader: Waiter | None = None
        self._writer: Waiter | None = None

    async def readable(self, timeout: float | None = None) -> None:
        """Wait until there may be something to read (bytes, the end, or an error). Raises `TimedOut`."""
        if not self.ready:
            await self._wait(IN, timeout)

    async def writable(self, timeout: float | None = None) -> None:
        """Wait until there may be room to write (or an error). Raises `TimedOut`."""
        await self._wait(OUT, timeout)

    def written(self) -> None:
        """Expect nothing to be written soon. Saves an event that would say that there is room."""
        if self._mask & OUT and self._writer is None:
            self._mask &= ~OUT
            self.hot.change(self.fd, self._mask)

    def watch_end(self) -> None:
        """Hear of it when the peer hangs up (`on_hangup`), though nobody has waited for anything here yet."""
        if self._mask == 0 and self.fd >= 0:
            self._mask = IN | RDHUP
            self.hot.watch(self.fd, IN | RDHUP, self._on_event)

    @types.coroutine
    def _wait(self, what: int, timeout: float | None) -> Generator[object, None, None]:
        yield from self._waiting(what, timeout)

    def _waiting(self, what: int, timeout: float | None) -> Generator[object, None, None]:
        """Wait. A generator: it is on the path of every message, where a coroutine costs 630 instructions more than a
        call (experiments/requests.md)."""
        me = current()
        self._arm(what, me)
        if timeout is None:
            try:
                yield PAUSED
            finally:
                self._disarm(me)
            return
        alarm = me.alarm or timeout_alarm(me, self.loop)
        alarm.set(timeout)
        try:
            yield PAUSED
        finally:
            alarm.deadline = inf
            self._disarm(me)

    def breathe(self, effort: int) -> Generator[object, None, None]:
        """Let everybody else have a turn, once fibers have done enough without ever waiting: a fast peer, that always
        has something to be read and takes all that is written, would otherwise be the only one who is served."""
        hot = self.hot
        hot.greed += effort
        if hot.greed < GREED:
            return
        handle = self.loop.call_soon(current().resume)
        hot.yield_to_asyncio = True
        try:
            yield PAUSED
        finally:
            handle.cancel()

    def _arm(self, what: int, fiber: Waiter) -> None:
        if self.fd < 0:
            raise Closed("the stream is closed")
        if what == IN:
            self._reader = fiber
            what = IN | RDHUP
        else:
            self._writer = fiber
        mask = self._mask
        if mask & what != what:
            if mask == 0:
                # A first wait to write is for a connect or a full socket: whoever waits so is read from next.
                self._mask = what = IN | RDHUP if what != OUT else IN | RDHUP | OUT
                self.hot.watch(self.fd, what, self._on_event)
            else:
                self._mask = what = mask | what
                self.hot.change(self.fd, what)

    def await_first(self, waiter: Waiter) -> None:
        """Let somebody wait for bytes where nobody has waited for anything yet: `_arm`, without its questions."""
        self._reader = waiter
        self._mask = IN | RDHUP
        self.hot.watch(self.fd, IN | RDHUP, self._on_event)

    def _disarm(self, fiber: Waiter) -> None:
        if self._reader is fiber:
            self._reader = None
        if self._writer is fiber:
            self._writer = None

    def _on_event(self, mask: int) -> None:
        reader = self._reader
        # Nearly always, and so before the other cases: one of the steps that made a request 2.6 % cheaper.
        if mask == IN and reader is not None:
            self.ready = True
            self._reader = None
            reader.resume()
            return
        unwanted = 0
        if mask & _READING:
            self.ready = True
            if mask & _GONE:
                self.hung_up = True
            if reader is not None:
                self._reader = None
                reader.resume()
            else:
                unwanted = IN | RDHUP if mask & _GONE else IN
        if mask & _WRITING:
            writer = self._writer
            if writer is not None:
                self._writer = None
                writer.resume()
            else:
                unwanted |= OUT
        if unwanted and self.fd >= 0:
            self._turn_off(unwanted, mask)

    def _turn_off(self, unwanted: int, event: int) -> None:
        """Something happened that nobody waits for: do not hear of it again until somebody does."""
        if self._reader is not None:
            unwanted &= ~(IN | RDHUP)
        if self._writer is not None:
            unwanted &= ~OUT
        left = self._mask & ~unwanted
        if left != self._mask:
            if left == 0 or (event & (HUP | ERR) and self._reader is None and self._writer is None):
                left = 0
                self.hot.forget(self.fd)
            else:
                self.hot.change(self.fd, left)
            self._mask = left
        if event & _GONE and self._reader is None and self.on_hangup is not None:
            hangup, self.on_hangup = self.on_hangup, None
            hangup()


def timeout_alarm(fiber: Fiber[object], loop: Loop) -> Alarm:
    """Return the one alarm a fiber has for its timeouts, made at the first."""
    fiber.alarm = alarm = Alarm(loop.timers, fiber)
    return alarm


Stream = TypeVar("Stream", bound=Waiting)


async def wait(
    readers: Sequence[Stream], writers: Sequence[Stream], timeout: float | None = None
) -> tuple[list[Stream], list[Stream]]:
    """Wait until one of several streams may be read or written, and return those that may. Raises `TimedOut`."""
    ready = [stream for stream in readers if stream.ready]
    if ready:
        return ready, []
    me = current()
    alarm = None
    try:
        for stream in readers:
            stream._arm(IN, me)
        for stream in writers:
            stream._arm(OUT, me)
        if timeout is not None:
            alarm = me.alarm or timeout_alarm(me, (readers or writers)[0].loop)
            alarm.set(timeout)
        await pause()
        return (
            [stream for stream in readers if stream._reader is not me],
            [stream for stream in writers if stream._writer is not me],
        )
    finally:
        if alarm is not None:
            alarm.clear()
        for stream in readers:
            stream._disarm(me)
        for stream in writers:
            stream._disarm(me)
