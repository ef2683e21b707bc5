"""Ends tunnels one after the other, spread over a window, so that their clients do not all come back at once.

    |--x---|-x----|----x-|x-----| ...        each tunnel has a slot of its own, and a moment in it by chance

A WebSocket is ended with a close frame in both directions (`closing.py`), an event stream after a whole event; any
other tunnel is closed. What opens
meanwhile, where everything is to go, gets a moment in what is left of the window.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from random import random, shuffle
from typing import TYPE_CHECKING, TypeAlias

from penstock.http.events.live import StreamEnd
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.timers import Alarm
from penstock.observe.errorlog import NOTICE, report
from penstock.server.websocket.drain_budget import DrainBudget
from penstock.websocket.close_reasons import Why

if TYPE_CHECKING:
    from penstock.http.events.live import LiveEventStream
    from penstock.net.loop import Loop

Drained: TypeAlias = "Tunnel | LiveEventStream"

STREAM_ENDS = {Why.DRAIN: StreamEnd.DRAIN, Why.KILLED: StreamEnd.KILLED, Why.SHUTDOWN: StreamEnd.SHUTDOWN}
"""What an event stream calls it."""

STEPS = 10
"""How often, in one window, the log says how far it has come."""

SOONEST = 1.0
"""Seconds between two such lines at least, and between two looks for new tunnels at most."""


class Drain:
    """`window` in seconds, `code` for close frames. `what` says in the log whose tunnels they are, `why` what the
    metrics and the access log call it; `text` goes with the close frames.

    `more` gives tunnels that are to go too, whenever it is asked; without it only those named at the start go. With a
    `budget` a tunnel whose moment has come waits for one of the moments that all workers and machines share.
    """

    doing, done = "draining", "drained"
    """What the log calls it."""

    def __init__(
        self,
        loop: Loop,
        tunnels: Iterable[Drained],
        window: float,
        code: int,
        *,
        what: str,
        why: Why = Why.DRAIN,
        text: str = "",
        more: Callable[[], Iterable[Drained]] | None = None,
        budget: DrainBudget | None = None,
    ) -> None:
        self._loop = loop
        self._code = code
        self._what = what
        self._why = why
        self._text = text
        self._more = more
        self._over = False
        self._budget = budget
        self._due: deque[Drained] = deque()
        self._began = loop.timers.now
        self._end = self._began + window
        self._step = max(SOONEST, window / STEPS)
        self._next_line = self._began + self._step
        self._alarm = Alarm(loop.timers, self._go_on)
        first = list(tunnels)
        shuffle(first)
        slot = window / max(1, len(first))
        self._plan = [(self._began + slot * (at + random()), tunnel) for at, tunnel in enumerate(first)]
        self._plan.reverse()
        self._known = set(first)
        self.ended = 0
        """How many have been told to go."""
        report(None, NOTICE, f"{self.doing} {what}: {len(first)} tunnels, {window:g}s")
        self._alarm.set(0)

    @property
    def left(self) -> int:
        """Count the tunnels that are still there."""
        return sum(tunnel.reason is None for tunnel in self._known)

    def part(self, tunnel: Drained) -> bool:
        """Let one go. Return whether that was possible now: if not, its moment comes once more."""
        dismiss(tunnel, self._why, self._code, self._text)
        return True

    def finish(self) -> None:
        """Say, once, that all are gone. Whoever sees it first may call this."""
        if not self._over:
            self._over = True
            self._alarm.close()
            took = self._loop.timers.now - self._began
            report(None, NOTICE, f"{self.done} {self._what}: {self.ended} tunnels in {took:.1f}s")

    def _go_on(self) -> None:
        now = self._loop.timers.now
        plan = self._plan
        waiting: list[tuple[float, Drained]] = []
        while plan and plan[-1][0] <= now:
            tunnel = plan.pop()[1]
            if tunnel.paused:
                waiting.append((now + SOONEST, tunnel))  # it is about to be somebody else's
            elif tunnel.reason is None:
                self._due.append(tunnel)
        soonest = self._end_due(now)
        if self._more is not None:
            waiting += self._new(now)
        if waiting:
            plan += waiting
            plan.sort(key=_latest_first)
        left = self.left
        if now >= self._next_line and left:
            self._next_line = now + self._step
            rest = max(0.0, self._end - now)
            report(None, NOTICE, f"{self.doing} {self._what}: {left} tunnels left, {rest:.0f}s to go")
        if not left and not plan and (self._more is None or now >= self._end):
            self.finish()
            return
        self._alarm.at(min(now + SOONEST, soonest, plan[-1][0] if plan else inf))

    def _end_due(self, now: float) -> float:
        """End those whose moment has come, as far as the budget goes; when to look again."""
        due, budget = self._due, self._budget
        while due and due[0].reason is not None:
            due.popleft()
        allowed, soonest = (len(due), inf) if budget is None else budget.allow(len(due), now, self._go_on)
        for _ in range(allowed):
            tunnel = due.popleft()
            if tunnel.reason is not None:
                continue
            if self.part(tunnel):
                self.ended += 1
            else:
                insort(self._plan, (now + SOONEST, tunnel), key=_latest_first)
        return soonest

    def _new(self, now: float) -> list[tuple[float, Drained]]:
        assert self._more is not None
        rest = max(0.0, self._end - now)
        found = [tunnel for tunnel in self._more() if tunnel not in self._known]
        self._known.update(found)
        return [(now + rest * random(), tunnel) for tunnel in found]


def dismiss(tunnel: Drained, why: Why, code: int = 0, text: str = "") -> None:
    """End a tunnel: a WebSocket with close frames, in bounded time, any other at once; or an event stream."""
    if not isinstance(tunnel, Tunnel):
        tunnel.dismiss(STREAM_ENDS.get(why, StreamEnd.OTHER))
        return
    talk = getattr(tunnel.owner, "conversation", None)
    if talk is not None:
        talk.end(why, code, text=text)
    else:
        tunnel.close(End.SHUTDOWN)


def _latest_first(planned: tuple[float, Drained]) -> float:
    return -planned[0]
