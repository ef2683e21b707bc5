"""asyncio's scheduler over one epoll, in which most descriptors never reach asyncio.

A *hot* descriptor has a handler that is called straight from `select()`. asyncio is only given back what it registered
itself, or control when it has something to do: no `Handle`, no walk through `_process_events` and no task switch per
event. A relayed message of 64 bytes costs 6.7 us so, and 7.7 through `add_reader` (`experiments/relay_calls.py`).
"""

from __future__ import annotations

import asyncio
import select
import selectors
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.net.bare_socket import StandIn
from penstock.net.calls import send, watch
from penstock.net.errors import NetError
from penstock.net.fiber import Fiber
from penstock.net.relay.compiled import make
from penstock.net.timers import Timers
from penstock.net.tls.bursts import Bursts

if TYPE_CHECKING:
    from penstock.http.events.live import LiveEventStream
    from penstock.net.posting import Posting
    from penstock.net.relay.carried import Carried
    from penstock.net.relay.tunnel import Tunnel

Handler = Callable[[int], None]
T = TypeVar("T")

if not hasattr(select, "epoll"):
    raise ImportError("penstock needs epoll(7): it runs on Linux")

IN = select.EPOLLIN
OUT = select.EPOLLOUT
RDHUP = select.EPOLLRDHUP
HUP = select.EPOLLHUP
ERR = select.EPOLLERR

BATCH = 256
"""Most events taken from one poll: what asyncio's own work and the timers may have to wait for."""


class HotSelector(selectors.EpollSelector):
    """asyncio's selector, which calls the handlers of hot descriptors itself.

    `carried`: by their descriptors, the tunnels that the compiled relay has, which hear of what it gives back. A list:
    a dictionary would be 58 bytes more for each tunnel.
    `now` is the monotonic clock in seconds, refreshed once per poll. What is put into `afterwards` is called once,
    before the next poll: by then all is known that one poll has brought. `outbox` are the streams to which something
    was posted meanwhile. `greed` counts what fibers did without waiting since then, see `Waiting.breathe`.
    Level-triggered, and every socket is non-blocking: an event that is out of date (its descriptor was closed and its
    number taken again within one batch) makes a handler try in vain, and does no harm."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll: select.epoll = self._selector  # type: ignore[attr-defined]
        self.twin = make(self._epoll.fileno())
        self.polled = -1 if watch is None else self._epoll.fileno()
        """The epoll, for compiled calls that have it watch what they make; -1 where nothing is compiled."""
        self._keys: dict[int, selectors.SelectorKey] = self._fd_to_key  # type: ignore[attr-defined]
        self.timers = Timers()
        self.now = self.timers.now
        self.stand_in = StandIn()
        self.bursts = Bursts(self.timers)
        self.handlers: dict[int, Handler] = {}
        self.carried: list[Carried | None] = []
        self.on_error: Callable[[int, BaseException], None] = _report
        self.timers.on_error = self._alarm_failed
        self.queue: deque[Any] = deque()
        self.afterwards: list[Callable[[], None]] = []
        self.outbox: list[Posting] = []
        self.yield_to_asyncio = False
        self.greed = 0

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Call `handler(mask)` from now on whenever one of `mask` (or HUP, ERR) is true of `fd`."""
        if watch is None:
            self._epoll.register(fd, mask)
        else:
            watch(self.polled, fd, mask)
        self.handlers[fd] = handler

    def change(self, fd: int, mask: int) -> None:
        """Replace the events that are waited for."""
        self._epoll.modify(fd, mask)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, which is still open. Forgetting what is not watched does nothing."""
        if self.handlers.pop(fd, None) is None:
            return
        try:
            self._epoll.unregister(fd)
        except OSError:
            pass  # closed already: the kernel has forgotten it by itself

    def drop(self, fd: int) -> None:
        """Do what `forget` does, for a descriptor that is closed right after: the kernel does its part by itself."""
        self.handlers.pop(fd, None)

    def _finish_turn(self) -> None:
        due, self.afterwards = self.afterwards, []
        for call in due:
            try:
                call()
            except Exception as exc:
                self.on_error(-1, exc)

    def deliver(self) -> None:
        """Send what was posted."""
        while self.outbox:
            streams, self.outbox = self.outbox, []
            for stream in streams:
                data, failure = stream._posted, None
                if data is not None and not stream.secure:
                    # The usual, without the two calls: 340 instructions each (experiments/requests.md).
                    try:
                        count = send(stream.fd, data)
                    except OSError as exc:
                        failure = exc  # of which the system tells only once
                    else:
                        stream.sent += count
                        if count == len(data):
                            stream._posted = None
                            continue
                        stream._posted = data[count:]
                try:
                    stream.deliver(failure)
                except NetError as exc:
                    stream.undeliverable(exc)
                except Exception as exc:
                    self.on_error(-1, exc)

    def _alarm_failed(self, exc: Exception) -> None:
        self.on_error(-1, exc)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Poll, and serve hot descriptors and alarms, until asyncio has something to do."""
        timers = self.timers
        handlers = self.handlers
        carried = self.carried
        queue = self.queue
        poll = self._epoll.poll if self.twin is None else self.twin.poll
        keys = self._keys
        handler_of = handlers.get
        found: list[tuple[selectors.SelectorKey, int]] = []
        now = monotonic()
        deadline = inf if timeout is None else now + timeout
        self.yield_to_asyncio = False
        handler: Handler | None = None
        tunnel: Carried | None = None
        while True:
            if self.afterwards:
                self._finish_turn()
            if self.outbox:
                self.deliver()
            until = timers.next
            if deadline < until:
                until = deadline
            if until == inf:
                events = poll(-1, BATCH)
            elif until > now:
                events = poll(until - now, BATCH)
            else:
                events = poll(0, BATCH)
            self.now = timers.now = now = monotonic()
            self.greed = 0
            for fd, mask in events:
                handler = handler_of(fd)
                if handler is not None:
                    try:
                        handler(mask)
                    except Exception as exc:
                        if handlers.get(fd) == handler:
                            self.forget(fd)
                        self.on_error(fd, exc)
                elif fd < len(carried) and (tunnel := carried[fd]) is not None:
                    try:
                        tunnel.told(fd, mask)
                    except Exception as exc:
                        if carried[fd] is not None:
                            carried[fd] = None
                            self._epoll.unregister(fd)
                        self.on_error(fd, exc)
                elif fd in keys:
                    key = keys[fd]
                    wanted = (1 if mask & ~OUT else 0) | (2 if mask & ~IN else 0)
                    if wanted & key.events:
                        found.append((key, wanted & key.events))
            # Or the next poll, however long it is, would keep who has just ended, and the configuration it came by.
            handler = tunnel = None
            if now >= timers.next:
                timers.run(now)
            if found or queue or now >= deadline or self.yield_to_asyncio:
                return found


def _report(fd: int, exc: BaseException) -> None:
    sys.excepthook(type(exc), exc, exc.__traceback__)


class Loop(asyncio.SelectorEventLoop):
    """asyncio's loop over a `HotSelector`. `hot` is the selector, `timers` its alarms, `tunnels` the live
    tunnels, `event_streams` the live streams of events."""

    def __init__(self) -> None:
        hot = HotSelector()
        super().__init__(hot)
        self.hot = hot
        self.timers = hot.timers
        self.tunnels: set[Tunnel] = set()
        self.event_streams: set[LiveEventStream] = set()
        self.make_room: Callable[[], bool] | None = None
        """Frees descriptors when they have run out; whether there are some."""
        hot.queue = self._ready  # type: ignore[attr-defined]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Do what asyncio's loop does. The selector must return, for asyncio to see how long it may wait now."""
        self.hot.yield_to_asyncio = True
        return super().call_at(when, callback, *args, context=context)

    def stop(self) -> None:
        """Stop as asyncio's loop does; from a hot handler too."""
        self.hot.yield_to_asyncio = True
        super().stop()

    def run(self, coro: Coroutine[object, None, T]) -> T:
        """Run `coro` as a fiber until it ends, and give its result or raise its exception."""
        ended: list[Fiber[T]] = []

        def start() -> None:
            fiber = Fiber(coro)
            fiber.keep_error = True
            fiber.on_done(end)
            fiber.resume()

        def end(fiber: Fiber[T]) -> None:
            ended.append(fiber)
            self.stop()

        self.call_soon(start)
        self.run_forever()
        if not ended:
            coro.close()
            raise RuntimeError("the loop was stopped before the fiber ended")
        return ended[0].outcome()


def new_loop() -> Loop:
    """Make a loop of our own, not yet asyncio's current one."""
    return Loop()


def running_loop() -> Loop:
    """Return the loop that runs now; `RuntimeError` outside of one, or in one that is not ours."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise RuntimeError("this needs penstock's own loop")
    return loop
