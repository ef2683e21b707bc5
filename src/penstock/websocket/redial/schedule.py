"""When a lost backend is redialled: at once, and then ever more rarely, as long as there is time. Sans-IO."""

from __future__ import annotations

from random import random

FIRST = 0.1
"""Seconds within which the first try begins, by chance: a backend that dies leaves many behind at once."""

GROWS = 3
"""How much longer each pause is than the one before: of 30 seconds, the tries begin at 0, 0.7, 2.7, 8.8 and 27."""

LAST = 0.9
"""The share of the time after which the last try begins."""

EARLIER = 0.25
"""The share of a pause that may be left out, by chance."""


def moment(number: int, tries: int, timeout: float) -> float:
    """Return how many seconds after the loss a try is to begin; `number` is 0 for the first of `tries`."""
    if number <= 0 or tries < 2:
        return min(FIRST, timeout / 50) * random()
    share: float = (GROWS**number - 1) / (GROWS ** (tries - 1) - 1)
    return LAST * timeout * share * (1 - EARLIER * random())
