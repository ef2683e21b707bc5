"""Bound the time of a match: a timer of the processor's time whose signal raises in the middle of it.

`re` looks for signals every few thousand steps. The timer counts what this process itself computes, so that a machine
that is busy with other things cuts nothing short. Only the main thread gets signals: in others a match runs unbounded.
"""

from __future__ import annotations

import signal
import threading
from time import monotonic

from penstock.config.regex.regex import Match, Search, TakesTooLong

LONGEST = 0.2
"""Seconds of a match. nginx gives up after its 10 million steps, 0.15 s on the same machine."""

SHARE = 0.2
"""Of the time, what matches that are given up may take in the long run: whoever repeats one gets shorter ones."""
SHORTEST = 0.01

_matching = False
_ready = False
_left = 2 * LONGEST
_looked = 0.0


def _limit() -> float:
    """Seconds that the next match may have."""
    global _left, _looked
    now = monotonic()
    _left = min(2 * LONGEST, _left + (now - _looked) * SHARE)
    _looked = now
    return max(SHORTEST, min(LONGEST, _left))


def _expired(number: int, frame: object) -> None:
    if _matching:
        raise TakesTooLong


def within(search: Search, text: str) -> Match | None:
    """Search; raises `TakesTooLong`."""
    global _left, _matching, _ready
    if threading.get_ident() != threading.main_thread().ident:
        return search(text)
    if not _ready:
        signal.signal(signal.SIGVTALRM, _expired)
        _ready = True
    limit = _limit()
    _matching = True
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, limit)
        return search(text)
    except TakesTooLong:
        _left = max(0.0, _left - limit)
        raise
    finally:
        _matching = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
