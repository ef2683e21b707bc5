"""How many handshakes are under way, and when the next may begin: by one worker, or by all.

The rate is a clock of arrivals (GCRA): each handshake moves it on by its share of a second, and one that would move it
too far ahead of now has to wait. A few milliseconds ahead are allowed, since timers are no finer.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from penstock.shared.memory import LockedMemory
from penstock.shared.rows import Row, Rows

if TYPE_CHECKING:
    from penstock.upstream.admission.rule import AdmissionRule

AHEAD = 0.01
"""Seconds by which the clock may run ahead."""

LOOK = 0.01
"""Seconds until one looks again who waits for the end of a handshake that may be another worker's."""

_CLOCK = struct.Struct("<d")


class Bounds:
    """The bounds of one worker. `admit` lets one in, `give_up` says that one is not under way any more."""

    __slots__ = ("_clock", "_count")

    def __init__(self) -> None:
        self._clock = 0.0
        self._count = 0

    @property
    def under_way(self) -> int:
        """Count the handshakes that are under way."""
        return self._count

    def admit(self, rule: AdmissionRule, now: float) -> float:
        """Let a handshake in, and return 0.0; or return the seconds after which to ask again."""
        if rule.in_progress and self._count >= rule.in_progress:
            return LOOK
        wait, self._clock = moved(self._clock, rule, now)
        if not wait:
            self._count += 1
        return wait

    def give_up(self) -> None:
        """Count one less: it has become a tunnel, or nothing."""
        self._count -= 1


def moved(clock: float, rule: AdmissionRule, now: float) -> tuple[float, float]:
    """Return how long to wait, and where the clock stands then: moved on if there is no wait."""
    if not rule.rate:
        return 0.0, clock
    at = max(clock, now)
    if at - now > AHEAD:
        return at - now - AHEAD, clock
    return 0.0, at + 1 / rule.rate


class SharedBounds(Bounds):
    """The bounds of all workers, in memory that they share. What a worker had under way that dies is forgotten."""

    __slots__ = ("_memory", "_owner", "_row", "_rows")

    def __init__(self, name: str) -> None:
        super().__init__()
        self._memory = LockedMemory(f"admission {name}", _CLOCK.size)
        self._rows = Rows(f"admission {name}", 1, 0)
        self._row: Row | None = None
        self._owner = 0

    def _mine(self) -> Row | None:
        pid = os.getpid()
        if self._owner != pid:
            self._owner = pid
            self._row = self._rows.share()
            self._count = 0
        return self._row

    @property
    def under_way(self) -> int:
        """Count the handshakes that are under way in all workers that live."""
        return self._rows.sums()[0]

    def admit(self, rule: AdmissionRule, now: float) -> float:
        """Let a handshake in, and return 0.0; or return the seconds after which to ask again. All workers share the
        clock of arrivals."""
        row = self._mine()
        with self._memory:
            if rule.in_progress and row is not None:
                count = self._count + sum(number for number, _ in row.others())
                # Somebody may have died since, which the slower way sees.
                if count >= rule.in_progress and self._rows.sums()[0] >= rule.in_progress:
                    return LOOK
            (clock,) = _CLOCK.unpack_from(self._memory.memory, 0)
            wait, clock = moved(clock, rule, now)
            if not wait:
                _CLOCK.pack_into(self._memory.memory, 0, clock)
                self._tell(1)
        return wait

    def give_up(self) -> None:
        """Count one of this worker's less: it has become a tunnel, or nothing."""
        self._tell(-1)

    def _tell(self, more: int) -> None:
        self._count += more
        row = self._mine()
        if row is not None:
            row.put((max(0, self._count),))
