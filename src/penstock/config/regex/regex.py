"""A compiled regular expression, whichever engine matches it, and what becomes of a match that takes too long.

Python's `re` has no limit of its own, and a pattern like `^/(.*)/(.*)/(.*)\\.html$` takes hours for a path of 8,000
slashes. Where a pattern can do that (`backtracking.py`) and a text is long enough for it, the match is given to
whoever knows what time is: `use_bound`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from penstock.config.regex.backtracking import Risk

LIMIT_HIT = -47
"""What PCRE2 says of a match that was given up (PCRE2_ERROR_MATCHLIMIT), and nginx logs."""

_SHOWN = 200


class MatchedPattern(Protocol):
    """The pattern of a match, as its engine has it."""

    @property
    def groups(self) -> int:
        """Count the capturing groups."""
        ...


class Match(Protocol):
    """What was found: Python's `re.Match[str]`, or a `Pcre2Match`, which has what is used of that."""

    @property
    def re(self) -> MatchedPattern:
        """Return the pattern that matched."""
        ...

    def group(self, which: int | str, /) -> str | None:
        """Return what a group captured, by number or name; None where it took no part."""
        ...

    def groups(self) -> Sequence[str | None]:
        """Return what all groups captured, from the first on."""
        ...

    def groupdict(self) -> Mapping[str, str | None]:
        """Return what the named groups captured."""
        ...


Search: TypeAlias = Callable[[str], Match | None]
Bound: TypeAlias = Callable[[Search, str], Match | None]


class MatchFailed(Exception):
    """Raised when a match was given up: neither yes nor no. The text is nginx's line for the error log."""

    def __init__(self, pattern: str, text: str, code: int = LIMIT_HIT) -> None:
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
        super().__init__(f'pcre2_match() failed: {code} on "{shown}" using "{pattern}"')
        self.code = code


class TakesTooLong(Exception):
    """Raised in the middle of a match by what bounds it."""


def _for_ever(search: Search, text: str) -> Match | None:
    return search(text)


_bound: Bound = _for_ever


def use_bound(bound: Bound) -> None:
    """Let `bound` run each match that may take long. It raises `TakesTooLong`."""
    global _bound
    _bound = bound


def within_bounds(pattern: str, search: Search, text: str) -> Match | None:
    """Search, for so long as is allowed. Raises `MatchFailed`."""
    try:
        return _bound(search, text)
    except TakesTooLong:
        raise MatchFailed(pattern, text) from None


class Regex:
    """A compiled pattern. `match(text)` finds it anywhere in the text, as nginx does, or raises `MatchFailed`.

    `python` is its spelling for Python's `re`, empty where PCRE2 matches it; `further` then compiles it to machine code
    and gives 0, or why that can not be done.
    """

    __slots__ = ("further", "groups", "match", "names", "pattern", "python", "risk")

    def __init__(self, pattern: str, match: Search, names: Mapping[str, int], groups: int, risk: Risk) -> None:
        self.pattern = pattern
        self.match = match
        self.names = dict(names)
        self.groups = groups
        self.risk = risk
        self.python = ""
        self.further: Callable[[], int] | None = None

    def __repr__(self) -> str:
        return f"Regex({self.pattern!r})"


_FEW_STARTS = 256
"""So many beginnings of a match may be tried without a look at the clock between them."""


def python_search(pattern: str, compiled: re.Pattern[str], risk: Risk, limited: Search | None) -> Search:
    """Search with Python's `re`: at once where the risk is none or the text is short. Long ones are left to `limited`,
    which knows a limit, or searched within bounds."""
    search, match_at, longest, anchored = compiled.search, compiled.match, risk.longest, risk.anchored
    if longest is None:
        return search
    if limited is not None:
        return lambda text: search(text) if len(text) <= longest else limited(text)

    def one_by_one(text: str) -> Match | None:
        # `re` looks for signals some thousand steps into each beginning of a match, and not between two of them.
        for start in range(len(text) + 1):
            found = match_at(text, start)
            if found is not None:
                return found
        return None

    def find(text: str) -> Match | None:
        length = len(text)
        if length <= longest:
            return search(text)
        few = anchored or length <= _FEW_STARTS
        return within_bounds(pattern, search if few else one_by_one, text)

    return find
