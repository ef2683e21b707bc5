"""When a certificate is to be renewed, and when to try again after a failure.

Nothing here asks a clock or a network."""

from __future__ import annotations

import math
from dataclasses import dataclass

FIRST_WAIT = 60.0
LONGEST_WAIT = 12 * 3600.0
"""Seconds between two tries after failures: a minute, then twice as long each time, half a day at most."""

SHARE = 2 / 3
"""Of a certificate's lifetime, after which it is renewed, unless the authority suggests another time."""

MARGIN = 0.02
"""Of a lifetime, at its begin and at its end: no suggestion counts there. An authority that suggests what is over again
and again is not asked for one certificate after the other, and none ends."""

ASK_SOONEST, ASK_LATEST = 60.0, 86400.0
"""Seconds after which an authority is asked again when a certificate is to be renewed (RFC 9773, section 4.3)."""


@dataclass(slots=True)
class Progress:
    """One certificate's: `due` is when to try, in seconds since 1970; `failures` count those in a row; `ask` is when to
    hear again what the authority suggests, if it suggests anything."""

    due: float = 0.0
    failures: int = 0
    ask: float = math.inf

    def next(self) -> float:
        """Return when there is something to do. After a failure nothing is asked before the next try."""
        return self.due if self.failures else min(self.due, self.ask)

    def failed(self, now: float, chance: float, at_least: float = 0.0) -> float:
        """Note a failure, and return in how many seconds to try again. `chance` is one of 0 to 1: machines that failed
        together do not come back together. `at_least` is what the authority asked for."""
        self.failures += 1
        wait: float = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self.failures - 1, 20))
        wait = max(wait * (0.75 + chance / 2), at_least)
        self.due = now + wait
        return wait

    def plan(self, begin: float, end: float, suggested: float | None = None) -> None:
        """Note that there is a certificate for the time from `begin` to `end`. `suggested` is when the authority wants
        it to be renewed (RFC 9773)."""
        usual, margin = begin + (end - begin) * SHARE, (end - begin) * MARGIN
        self.due = usual if suggested is None else max(begin + margin, min(suggested, end - margin))

    def ask_in(self, now: float, seconds: float | None) -> None:
        """Note in how many seconds the authority wants to be asked again for its suggestion; None: it has none."""
        self.ask = math.inf if seconds is None else now + max(ASK_SOONEST, min(seconds, ASK_LATEST))
