"""Many handshakes at once, and the memory that they leave behind.

One that is under way has 20 KiB for messages of the handshake. Of 64 at once up to a MiB stays free between what is
kept of connections. It is given back in the first lull; a burst that goes on needs it again at once.
"""

from __future__ import annotations

from time import monotonic

from penstock.net.timers import Alarm, Timers
from penstock.shared.freed import give_back_freed

MANY = 64
"""Handshakes that are worth it."""
LULL = 0.1
"""Seconds without one."""
REST = 1000
"""By how many times what it took it is not done again: everything waits for it. Nearly always that is a fifth of a
millisecond; where ten thousand connections have gone, and 150 MiB go back, it is 50 (experiments/tunnels.md)."""


class Bursts:
    """Counts the handshakes of a loop."""

    __slots__ = ("_alarm", "_count", "_rests", "_seen", "_timers")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._alarm = Alarm(timers, self)
        self._count = self._seen = 0
        self._rests = 0.0

    def note(self) -> None:
        """Count one that is done."""
        self._count += 1
        if self._count == MANY:
            self._alarm.at(max(self._timers.now + LULL, self._rests))

    def __call__(self) -> None:
        """Look whether there were more meanwhile."""
        if self._count != self._seen:
            self._seen = self._count
            self._alarm.set(LULL)
            return
        self._count = self._seen = 0
        began = monotonic()
        give_back_freed()
        ended = monotonic()
        self._rests = ended + (ended - began) * REST
