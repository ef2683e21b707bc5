"""Escapes of PCRE that stand for one character, and the error every part of the translation raises."""

from __future__ import annotations

import re


class PcreError(ValueError):
    """Raised for a pattern that is wrong or beyond Python's `re`; `offset` is where in it."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at offset {offset}")
        self.reason = reason
        self.offset = offset

    def advised(self, advice: str) -> PcreError:
        """Return the same error with what to do, in its text."""
        made = type(self)(self.reason, self.offset)
        made.args = (f"{self} by Python alone: {advice}",)
        return made


class BeyondPython(PcreError):
    """Raised where PCRE2 may know what to do with the pattern; Python's `re` does not."""


_HEX = re.compile(r"\{([0-9a-fA-F]+)\}|(?!\{)([0-9a-fA-F]{0,2})", re.ASCII)
_OCTAL = re.compile(r"[0-7]{1,3}", re.ASCII)
_OCTAL_BRACED = re.compile(r"\{([0-7]+)\}", re.ASCII)
_CONTROLS = {"a": "\x07", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REFUSED = {
    "K": "\\K (start of match reset)",
    "G": "\\G (start of matching)",
    "X": "\\X (grapheme cluster)",
    "p": "\\p (Unicode property)",
    "P": "\\P (Unicode property)",
    "L": "\\L (case change)",
    "l": "\\l (case change)",
    "U": "\\U (case change)",
    "u": "\\u (case change)",
}


def escaped_character(pattern: str, at: int) -> tuple[str, int]:
    """Read the escape whose backslash is at `at`: the character it stands for, and where to go on.

    Letters without a meaning stand for themselves: older PCRE takes them so, and so do configurations.
    """
    char = pattern[at + 1 : at + 2]
    if not char:
        raise PcreError("\\ at end of pattern", at)
    if char in _REFUSED:
        raise BeyondPython(f"{_REFUSED[char]} is not supported", at)
    if char in _CONTROLS:
        return _CONTROLS[char], at + 2
    if char == "c":
        return _control(pattern, at)
    if char == "x":
        return _coded(pattern, at, at + 2, _HEX, 16)
    if char == "o":
        return _coded(pattern, at, at + 2, _OCTAL_BRACED, 8)
    if char in "01234567":
        return _coded(pattern, at, at + 1, _OCTAL, 8)
    return char, at + 2


def _control(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at + 2 : at + 3]
    if not " " <= char <= "~":
        raise PcreError("\\c must be followed by a printable ASCII character", at)
    return chr(ord(char.upper()) ^ 64), at + 3


def _coded(pattern: str, at: int, digits_at: int, digits: re.Pattern[str], radix: int) -> tuple[str, int]:
    match = digits.match(pattern, digits_at)
    if match is None:
        raise PcreError("missing digits of a character code", at)
    text = next((group for group in match.groups() if group is not None), match[0])
    code = int(text or "0", radix)
    if code > 255:
        raise PcreError("character code is too large for a byte", at)
    return chr(code), match.end()
