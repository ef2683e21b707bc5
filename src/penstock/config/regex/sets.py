"""Sets of characters, `[...]`: PCRE's spelling -> Python's.

PCRE without UTF, as nginx uses it: 256 characters, of which only ASCII ones are letters.
"""

from __future__ import annotations

import re

from penstock.config.regex.escapes import BeyondPython, PcreError, escaped_character
from penstock.config.regex.properties import property_body

HORIZONTAL = "\\t \\xa0"
VERTICAL = "\\n\\x0b\\x0c\\r\\x85"

_POSIX = {
    "alpha": "a-zA-Z",
    "lower": "a-z",
    "upper": "A-Z",
    "alnum": "a-zA-Z0-9",
    "ascii": "\\x00-\\x7f",
    "blank": "\\t ",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\t-\\r ",
    "word": "a-zA-Z0-9_",
    "xdigit": "a-fA-F0-9",
}
_POSIX_NAME = re.compile(r"\[:(\^?)([a-z]*):\]", re.ASCII)
_OUTSIDE = re.compile(r"\[([:.=])[^\]]*\1\]", re.ASCII)
_COLLATING = re.compile(r"\[([.=])[^\]]*\1\]", re.ASCII)


def _others(body: str) -> str:
    """Return the body of a set of all characters that are not in `body`."""
    member = re.compile(f"[{body}]", re.ASCII)
    ranges: list[tuple[int, int]] = []
    for code in range(256):
        if member.match(chr(code)):
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = ranges[-1][0], code
        else:
            ranges.append((code, code))
    return "".join(f"\\x{first:02x}-\\x{last:02x}" for first, last in ranges)


_ESCAPES = {
    **{letter: "\\" + letter for letter in "dDwWsS"},
    "h": HORIZONTAL,
    "H": _others(HORIZONTAL),
    "v": VERTICAL,
    "V": _others(VERTICAL),
}


def translate_set(pattern: str, at: int) -> tuple[str, int]:
    """Read the set whose `[` is at `at`: Python's spelling of it, and where to go on."""
    reader = _SetReader(pattern, at)
    return reader.translate(), reader.at


class _SetReader:
    __slots__ = ("at", "literal", "pattern", "start")

    def __init__(self, pattern: str, at: int) -> None:
        self.pattern = pattern
        self.start = self.at = at
        self.literal = False

    def translate(self) -> str:
        if _OUTSIDE.match(self.pattern, self.start):
            raise PcreError("POSIX named classes are supported only within a class", self.start)
        negated = self.pattern.startswith("[^", self.start)
        self.at += 2 if negated else 1
        parts: list[str] = []
        self._skip_quotes()
        # A "]" that comes first is an ordinary character.
        while not parts or self.literal or not self.pattern.startswith("]", self.at):
            if self.at >= len(self.pattern):
                raise PcreError("missing terminating ] for character class", self.start)
            parts.append(self._part())
            self._skip_quotes()
        self.at += 1
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _skip_quotes(self) -> None:
        while True:
            if self.pattern.startswith("\\E", self.at):
                self.literal = False
            elif self.pattern.startswith("\\Q", self.at) and not self.literal:
                self.literal = True
            else:
                return
            self.at += 2

    def _part(self) -> str:
        """A character, a range of characters, or a set within the set."""
        start = self.at
        low, single = self._member()
        if not single:
            return low
        self._skip_quotes()
        if self.literal or not self._range_follows():
            return re.escape(low)
        self.at += 1
        self._skip_quotes()
        high, single = self._member()
        if not single:
            return f"{re.escape(low)}\\-{high}"
        if high < low:
            raise PcreError("range out of order in character class", start)
        return f"{re.escape(low)}-{re.escape(high)}"

    def _range_follows(self) -> bool:
        following = self.pattern[self.at + 1 : self.at + 2]
        return self.pattern.startswith("-", self.at) and following not in ("", "]")

    def _member(self) -> tuple[str, bool]:
        """A character and True, or the body of a set and False."""
        char = self.pattern[self.at : self.at + 1]
        if char == "[" and not self.literal:
            named = _POSIX_NAME.match(self.pattern, self.at)
            if named is not None:
                return self._posix(named), False
            if _COLLATING.match(self.pattern, self.at):
                raise BeyondPython("POSIX collating elements are not supported", self.at)
        if char != "\\" or self.literal:
            self.at += 1
            return char, True
        letter = self.pattern[self.at + 1 : self.at + 2]
        if letter in _ESCAPES:
            self.at += 2
            return _ESCAPES[letter], False
        if letter == "b":
            self.at += 2
            return "\b", True
        if letter and letter in "pP":
            body, self.at = property_body(self.pattern, self.at)
            return body, False
        if letter and letter in "BRN":
            raise PcreError(f"\\{letter} is invalid in a character class", self.at)
        character, self.at = escaped_character(self.pattern, self.at)
        return character, True

    def _posix(self, named: re.Match[str]) -> str:
        body = _POSIX.get(named[2])
        if body is None:
            raise PcreError("unknown POSIX class name", self.at)
        self.at = named.end()
        return _others(body) if named[1] else body
