"""A regular expression that PCRE2 matches, with its limit and one more.

The library counts steps, 10 million at most, as nginx leaves it. That is no bound on time: the count begins anew at
each place where a match may begin, and one step may run through the whole text. So long texts get fewer steps, and
their beginnings are tried one by one within the bounds of `regex.py`.
"""

from __future__ import annotations

import re
import weakref

from penstock.config.regex.backtracking import Risk
from penstock.config.regex.pcre2 import ANCHORED, NO_MATCH, NO_UTF_CHECK, UTF, Library
from penstock.config.regex.regex import LIMIT_HIT, Match, MatchFailed, Regex, within_bounds

MOST_STEPS = 10_000_000
"""The library's own limit, and so nginx's."""
_MOST_READ = 4_000_000_000
"""Steps times characters: half a second where each step runs through the text."""
_QUICK = 50_000_000
_FEWEST_STEPS = 50
_UNSET = (1 << 64) - 1
_BAD_OFFSET = -36

# What looks at where a search began, or says where it goes on: its beginnings can not be tried one by one.
_ITS_OWN_WAY = re.compile(r"\(\*(?:COMMIT|SKIP|PRUNE|THEN|MARK|F|ACCEPT|:)|\\G")


def compile_by_pcre2(library: Library, pattern: str, *, caseless: bool, risk: Risk) -> Regex:
    """Compile a pattern by PCRE2. Raises `Refused`."""
    made = Pcre2Pattern(library, pattern, caseless=caseless)
    regex = Regex(pattern, made.match, made.names, made.groups, risk)
    regex.further = made.compile_further
    return regex


class Pcre2Match:
    """A match of PCRE2. The offsets were read at once: the next match overwrites them."""

    __slots__ = ("_offsets", "re", "string")

    def __init__(self, regex: Pcre2Pattern, string: str, offsets: list[int]) -> None:
        self.re = regex
        self.string = string
        self._offsets = offsets

    def span(self, which: int | str = 0) -> tuple[int, int]:
        """Return where a group begins and ends, (-1, -1) if it took no part."""
        at = 2 * self._number(which)
        start, end = self._offsets[at], self._offsets[at + 1]
        return (-1, -1) if start == _UNSET else (start, end)

    def group(self, which: int | str = 0) -> str | None:
        """Return a group, None if it took no part."""
        start, end = self.span(which)
        return None if start < 0 else self.string[start:end]

    __getitem__ = group

    def groups(self, default: str | None = None) -> tuple[str | None, ...]:
        """Return all groups, without the whole; `default` for those that took no part."""
        found = [self.group(number) for number in range(1, self.re.groups + 1)]
        return tuple(default if each is None else each for each in found)

    def groupdict(self, default: str | None = None) -> dict[str, str | None]:
        """Return the groups that have names."""
        found = {name: self.group(name) for name in self.re.names}
        return {name: default if value is None else value for name, value in found.items()}

    def _number(self, which: int | str) -> int:
        if isinstance(which, int):
            if 0 <= which <= self.re.groups:
                return which
        elif which in self.re.names:
            # With (?J) several groups have one name: the one that took part counts.
            numbers = self.re.numbers[which]
            return next((each for each in numbers if self._offsets[2 * each] != _UNSET), numbers[0])
        raise IndexError("no such group")


class Pcre2Pattern:
    """A pattern that PCRE2 compiled. `match` and `compile_further` are for a `Regex`."""

    __slots__ = (
        "__weakref__",
        "_anchored",
        "_arguments",
        "_code",
        "_library",
        "_offsets",
        "_skips",
        "_whole",
        "groups",
        "names",
        "numbers",
        "pattern",
    )

    def __init__(self, library: Library, pattern: str, *, caseless: bool) -> None:
        code = library.compile(pattern, caseless)
        options, self.groups, names = library.describe(code)
        data, self._offsets = library.data_for(self.groups)
        weakref.finalize(self, library.free, code).atexit = False
        self.pattern = pattern
        self.numbers: dict[str, list[int]] = {}
        for name, number in names:
            self.numbers.setdefault(name, []).append(number)
        self.names: dict[str, int] = {name: numbers[0] for name, numbers in self.numbers.items()}
        self._library = library
        self._code = code
        self._arguments = code, data, library.context
        self._anchored = bool(options & ANCHORED)
        self._whole = self._anchored or _ITS_OWN_WAY.search(pattern) is not None
        self._skips = bool(options & UTF)

    def __repr__(self) -> str:
        return f"Regex({self.pattern!r})"

    def match(self, text: str) -> Match | None:
        """Find it anywhere in the text. Raises `MatchFailed`."""
        data = text.encode("latin-1")
        length = len(data) + 1
        code = self._run(data, 0, 0, (_MOST_READ if self._anchored else _QUICK // length) // length)
        if code != LIMIT_HIT or self._whole:
            return self._found(text, code)
        return within_bounds(self.pattern, self._one_by_one, text)

    def compile_further(self) -> int:
        """Compile it to machine code; return 0, or why that can not be done."""
        return self._library.compile_further(self._code)

    def _one_by_one(self, text: str) -> Match | None:
        """Try each beginning by itself, so that whoever bounds it can step in between."""
        data = text.encode("latin-1")
        steps = _MOST_READ // (len(data) + 1)
        for start in range(len(data) + 1):
            if self._skips and start < len(data) and data[start] & 0xC0 == 0x80:
                continue  # the middle of a character
            options = ANCHORED | (NO_UTF_CHECK if self._skips and start else 0)
            code = self._run(data, start, options, steps)
            if code != NO_MATCH:
                return self._found(text, code)
        return None

    def _run(self, data: bytes, start: int, options: int, steps: int) -> int:
        library = self._library
        code, found, context = self._arguments
        library.limit_matches(context, max(_FEWEST_STEPS, min(MOST_STEPS, steps)))
        return int(library.match(code, data, len(data), start, options, found, context))

    def _found(self, text: str, code: int) -> Match | None:
        if code == NO_MATCH:
            return None
        if code < 0:
            raise MatchFailed(self.pattern, text, code)
        found = self._offsets[: 2 * code]
        return Pcre2Match(self, text, found + [_UNSET] * (2 * self.groups + 2 - len(found)))
