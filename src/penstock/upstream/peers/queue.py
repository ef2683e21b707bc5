"""Requests that wait until a server may be given one: `queue` (nginx: ngx_http_upstream_module, in NGINX Plus).

A worker has one for each group. First come, first served: it is looked at when a request of this worker ends, and now
and then, for what other workers and checks have changed. A client that hangs up leaves it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber, current, pause
from penstock.net.loop import running_loop
from penstock.net.timers import Alarm
from penstock.upstream.peers.balancers import PeerSelection
from penstock.upstream.peers.extended import ExtendedBalancer

if TYPE_CHECKING:
    from penstock.upstream.peers.peers import Peer

LOOK = 0.02
"""Seconds between two looks while somebody waits."""


class InQueue:
    """One that waits: until `due`, for the peer that it will find here."""

    __slots__ = ("due", "fiber", "peer", "selection")

    def __init__(self, fiber: Fiber[object], selection: PeerSelection, due: float) -> None:
        self.fiber = fiber
        self.selection = selection
        self.due = due
        self.peer: Peer | None = None


class Queue:
    """The queue of a group: at most `most` wait, each for `timeout` seconds. `overflows` counts those without room."""

    __slots__ = ("_alarm", "_woken", "most", "overflows", "timeout", "waiting")

    def __init__(self, most: int, timeout: float) -> None:
        self.most = most
        self.timeout = timeout
        self.overflows = 0
        self.waiting: deque[InQueue] = deque()
        self._alarm: Alarm | None = None
        self._woken = False

    def __len__(self) -> int:
        return len(self.waiting)

    async def wait(self, selection: PeerSelection) -> Peer | None:
        """Wait for a peer, and take it; None if there is no room to wait, or none came in time."""
        if len(self.waiting) >= self.most:
            self.overflows += 1
            return None
        loop = running_loop()
        mine = InQueue(current(), selection, loop.timers.now + self.timeout)
        self.waiting.append(mine)
        if self._alarm is None:
            self._alarm = Alarm(loop.timers, self._look)
        if len(self.waiting) == 1:
            self._alarm.set(LOOK)
        try:
            while mine.peer is None and loop.timers.now < mine.due:
                await pause()
        finally:
            if mine.peer is None:
                self.waiting.remove(mine)
        return mine.peer

    def wake(self) -> None:
        """Look soon: something has been given back."""
        if self.waiting and not self._woken:
            self._woken = True
            running_loop().call_soon(self._serve)

    def _look(self) -> None:
        assert self._alarm is not None
        self._serve()
        now = running_loop().timers.now
        for each in [each for each in self.waiting if each.due <= now]:
            each.fiber.resume()
        if self.waiting:
            self._alarm.set(LOOK)

    def _serve(self) -> None:
        self._woken = False
        now = running_loop().timers.now
        while self.waiting:
            first = self.waiting[0]
            first.selection.begin_again()
            peer = first.selection.next(now)
            if peer is None:
                return
            self.waiting.popleft()
            first.peer = peer
            first.fiber.resume()


class Wakes:
    """The part of a selection that tells the queue of its group. It stands before the balancer."""

    __slots__ = ()

    def done(self, peer: Peer) -> None:
        """Give a peer back, as the balancer does."""
        super().done(peer)  # type: ignore[misc]
        self.group.queue.wake()  # type: ignore[attr-defined]

    def failed(self, peer: Peer, now: float) -> bool:
        """Give a peer back, as the balancer does."""
        out: bool = super().failed(peer, now)  # type: ignore[misc]
        self.group.queue.wake()  # type: ignore[attr-defined]
        return out

    def stale(self, peer: Peer) -> None:
        """Give a peer back, as the balancer does."""
        super().stale(peer)  # type: ignore[misc]
        self.group.queue.wake()  # type: ignore[attr-defined]


class Queueing(ExtendedBalancer):
    """The balancer of a group with a queue, over another."""

    mixin = Wakes
    __slots__ = ()


def worth_waiting(selection: PeerSelection, now: float) -> bool:
    """Return whether a peer that has not been tried is only full, and has not failed: better than one that has."""
    tried = selection.tried or ()
    for peer in selection.group.peers:
        options = peer.options
        if options.down or options.drain or not options.max_conns or not peer.sound or peer in tried:
            continue
        failed = options.max_fails and peer.fails >= options.max_fails and now - peer.checked <= options.fail_timeout
        if peer.active >= options.max_conns and not failed:
            return True
    return False


def may_wait(selection: PeerSelection) -> bool:
    """Return whether there is a peer that this selection may still be given, some time."""
    tried = selection.tried or ()
    return any(not (peer.options.down or peer.options.drain or peer in tried) for peer in selection.group.peers)
