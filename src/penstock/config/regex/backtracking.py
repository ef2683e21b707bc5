"""How long a regular expression can take: what its repeats make of a text that almost matches.

An engine that backtracks tries every way to share a text out among repeats that could take the same characters. Two of
them in a row, `(.*)/(.*)`, make a square of the text's length, three a cube; one inside another, `(a+)+`, doubles the
work with each character. Here that is judged from the pattern alone, and rather too strictly: a pattern that is called
harmless is harmless.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ENDLESS = 99
"""The degree of what grows faster than any power."""

_LONGEST = {2: 1000, 3: 100, 4: 30}
_LONGEST_ELSE = 10
"""By degree: texts of so many characters cost a few milliseconds at most."""


@dataclass(frozen=True, slots=True)
class Risk:
    """`degree` is the power of a text's length that a search can cost, `ENDLESS` for more. `anchored`: it can match at
    the beginning of the text only."""

    degree: int
    anchored: bool = False

    @property
    def longest(self) -> int | None:
        """Return the length up to which nobody needs to watch, None for any."""
        return None if self.degree <= 1 else _LONGEST.get(self.degree, _LONGEST_ELSE)

    @property
    def bad(self) -> bool:
        """Return whether a request of an ordinary size can keep a worker busy for long."""
        return self.degree >= 3


UNKNOWN = Risk(ENDLESS)
_VARIES = re.compile(r"[*+{]|(?<!\()\?|\\[1-9]|\(\?P=", re.ASCII)
"""Nothing else in Python's spelling may be of different lengths, but for branches."""
_FEW_GROUPS = 2


def judge(python: str, flags: int, *, lines: bool = True) -> Risk:
    """Return the risk of a pattern in Python's spelling, as `re.compile` takes it. `lines`: a text may have several."""
    from penstock.config.regex.pattern_tree import read

    if _VARIES.search(python) is None and ("|" not in python or python.count("(") <= _FEW_GROUPS):
        return Risk(1)
    tree = read(python, flags, lines=lines)
    try:
        return UNKNOWN if tree is None else tree.risk()
    except RecursionError:
        return UNKNOWN


def can_backtrack_badly(pattern: str, *, caseless: bool = False, lines: bool = False) -> bool:
    """Return whether a request of an ordinary size can make a pattern, as nginx writes it, take very long."""
    from penstock.config.regex.pcre import risk

    return risk(pattern, caseless=caseless, lines=lines).bad
