"""Deadlines that cost an attribute store to move.

Nearly every deadline of a proxy is set, moved and cleared long before it is due. An `Alarm` therefore keeps
its deadline in a slot and leaves its entry in the heap alone: the entry may be *earlier* than the deadline,
never later. When the entry comes up, the alarm is looked at: still in the future, it is pushed again;
cleared, it is forgotten."""

from __future__ import annotations

import sys
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from time import monotonic

Entry = tuple[float, int, "Alarm"]

_WORTH_SWEEPING = 256
_SPARE = 256


class Timers:
    """The deadlines of one loop. `now` is the coarse monotonic clock in seconds, refreshed once per poll."""

    __slots__ = ("_spare", "heap", "next", "now", "on_error", "serial", "stale")

    def __init__(self) -> None:
        self.heap: list[Entry] = []
        self.now = monotonic()
        self.next = inf
        self.serial = 0
        self.stale = 0
        self._spare: list[Alarm] = []
        self.on_error: Callable[[Exception], None] = _report

    def lend(self, callback: Callable[[], None]) -> Alarm:
        """Give an alarm that nobody needs any more, with its entry on the heap, or a new one. A connection takes 3,000
        instructions less so (experiments/requests.md)."""
        if self._spare:
            alarm = self._spare.pop()
            alarm.callback = callback
            return alarm
        return Alarm(self, callback)

    def reclaim(self, alarm: Alarm) -> None:
        """Do what `Alarm.close` does with one that nobody else has, and that nobody asks for anything from now on:
        another will get it."""
        if len(self._spare) >= _SPARE:
            alarm.close()
            return
        alarm.deadline = inf
        alarm.callback = None
        self._spare.append(alarm)

    def push(self, when: float, alarm: Alarm) -> None:
        """Put an entry for `alarm` on the heap; an earlier entry of it is recognised as stale by its time."""
        # A quarter, not half: 0.2 KiB less for each idle tunnel (experiments/tunnels.md).
        if self.stale > _WORTH_SWEEPING and self.stale * 4 > len(self.heap):
            self.sweep()
        self.serial += 1
        alarm.queued = when
        heappush(self.heap, (when, self.serial, alarm))
        if when < self.next:
            self.next = when

    def run(self, now: float) -> None:
        """Call what is due at `now`. An alarm set anew by a callback comes up in a later run, never in this one."""
        heap = self.heap
        due: list[Alarm] = []
        while heap and heap[0][0] <= now:
            when, _, alarm = heappop(heap)
            if alarm.queued != when:
                self.stale -= 1
                continue
            alarm.queued = inf
            if alarm.deadline <= now:
                due.append(alarm)
            elif alarm.deadline != inf:
                self.push(alarm.deadline, alarm)
        self.next = heap[0][0] if heap else inf
        for alarm in due:
            callback = alarm.callback
            if callback is None or alarm.deadline > now:
                continue
            alarm.deadline = inf
            try:
                callback()
            except Exception as exc:
                self.on_error(exc)

    def sweep(self) -> None:
        """Drop entries that no longer mean anything, so that short-lived alarms do not fill the heap."""
        self.heap[:] = [entry for entry in self.heap if entry[2].queued == entry[0]]
        heapify(self.heap)
        self.next = self.heap[0][0] if self.heap else inf
        self.stale = 0


def _report(exc: Exception) -> None:
    sys.excepthook(type(exc), exc, exc.__traceback__)


class Alarm:
    """One deadline that is moved often. `callback` takes nothing and is called at most once per setting."""

    __slots__ = ("callback", "deadline", "queued", "timers")

    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        self.timers = timers
        self.callback: Callable[[], None] | None = callback
        self.deadline = inf
        self.queued = inf

    def set(self, seconds: float) -> None:
        """Make it due in `seconds` from the coarse clock; replaces the deadline it had."""
        timers = self.timers
        self.deadline = when = timers.now + seconds
        if when < self.queued:
            if self.queued != inf:
                timers.stale += 1
            timers.push(when, self)

    def at(self, when: float) -> None:
        """Make it due at `when` on the loop's monotonic clock."""
        self.deadline = when
        if when < self.queued:
            if self.queued != inf:
                self.timers.stale += 1
            self.timers.push(when, self)

    def clear(self) -> None:
        """Make it not due any more. The entry on the heap vanishes when its time comes."""
        self.deadline = inf

    def close(self) -> None:
        """Make it never due again, and hold nothing: the heap may keep this small object, but not what it belonged to.
        """
        self.deadline = inf
        self.callback = None
        if self.queued != inf:
            self.queued = inf
            self.timers.stale += 1
