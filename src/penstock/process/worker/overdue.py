"""`worker_shutdown_timeout`: what is left of a configuration, or of a worker, after that time is ended.

WebSockets are told a little before, so that their peers can answer, and all is over when the time is: a peer that does
not answer gets no more of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from penstock.net.timers import Alarm, Timers

NOTICE = 1.0
"""Seconds that peers have to answer a close frame, and a quarter of the whole time at most."""


def notice_of(patience: float) -> float:
    """Return how long before the end WebSockets are told."""
    return min(NOTICE, patience / 4)


class Overdue:
    """`dismiss` and `cut` are called with a moment: what was there before it has to go, kindly, or at once."""

    __slots__ = ("_cut", "_cuts", "_dismiss", "_dismissals", "_timers", "_to_cut", "_to_dismiss")

    def __init__(self, timers: Timers, dismiss: Callable[[float], None], cut: Callable[[float], None]) -> None:
        self._timers = timers
        self._dismiss = dismiss
        self._cut = cut
        self._to_dismiss: deque[tuple[float, float]] = deque()
        self._to_cut: deque[tuple[float, float]] = deque()
        self._dismissals = Alarm(timers, lambda: self._due(self._to_dismiss, self._dismissals, self._dismiss))
        self._cuts = Alarm(timers, lambda: self._due(self._to_cut, self._cuts, self._cut))

    def add(self, patience: float, moment: float) -> None:
        """Let what was there before `moment` stay so many seconds from now."""
        until = self._timers.now + patience
        for when, waiting, alarm in (
            (until - notice_of(patience), self._to_dismiss, self._dismissals),
            (until, self._to_cut, self._cuts),
        ):
            waiting.append((when, moment))
            alarm.at(min(alarm.deadline, when))

    def _due(self, waiting: deque[tuple[float, float]], alarm: Alarm, act: Callable[[float], None]) -> None:
        now = self._timers.now
        due = [moment for when, moment in waiting if when <= now]
        left = [entry for entry in waiting if entry[0] > now]
        waiting.clear()
        waiting.extend(left)
        if due:
            act(max(due))
        if left:
            alarm.at(min(when for when, _ in left))
