"""A pattern in Python's spelling as a tree of what matters for how long it can take.

Python's own parser reads it. That parser is no public interface: whatever is unknown here makes a pattern's risk
unknown, which costs a watch over its matches and nothing else.
"""

from __future__ import annotations

import re
from typing import Any

from penstock.config.regex.pattern_parts import (
    Again,
    Atom,
    Beginning,
    Branches,
    Chars,
    Look,
    Node,
    Nothing,
    PatternEnding,
    PatternRow,
    Repeat,
)

_ALL = (1 << 256) - 1
_ONE_LINE = 1 << 30
"""A flag of our own."""
_DEEPEST = 8
"""Repeats within repeats: each level doubles the work of judging."""
_NEWLINE = 1 << ord("\n")


def _set(text: str) -> int:
    found = 0
    for char in text:
        found |= 1 << ord(char)
    return found


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = _set("0123456789")
_SPACES = _set(" \t\n\r\f\v")
_WORDS = _set(_LETTERS + _LETTERS.upper() + "_") | _DIGITS
_CATEGORIES = {
    "CATEGORY_DIGIT": _DIGITS,
    "CATEGORY_NOT_DIGIT": _ALL & ~_DIGITS,
    "CATEGORY_SPACE": _SPACES,
    "CATEGORY_NOT_SPACE": _ALL & ~_SPACES,
    "CATEGORY_WORD": _WORDS,
    "CATEGORY_NOT_WORD": _ALL & ~_WORDS,
}


class _Unknown(Exception):
    """Raised for something that this module does not know."""


def read(python: str, flags: int, *, lines: bool) -> PatternRow | None:
    """Read the tree of a pattern; None if it can not be told. `lines`: a text may have several."""
    try:
        from re import _parser  # type: ignore[attr-defined]

        parsed = _parser.parse(python, flags)
        return _row(parsed, int(parsed.state.flags) | (0 if lines else _ONE_LINE), 0)
    except (ImportError, AttributeError, LookupError, TypeError, ValueError, RecursionError, _Unknown):
        return None


# Any: the trees of `re._parser`, which say nothing of their types.
def _row(items: Any, flags: int, depth: int) -> PatternRow:
    return PatternRow(tuple(_node(str(op), value, flags, depth) for op, value in items))


def _node(op: str, value: Any, flags: int, depth: int) -> Node:
    if depth > _DEEPEST:
        raise _Unknown(op)
    match op:
        case "LITERAL":
            return Chars(_cased(1 << value, flags))
        case "NOT_LITERAL":
            return Chars(_ALL & ~_cased(1 << value, flags))
        case "ANY":
            return Chars(_ALL if flags & re.DOTALL else _ALL & ~_NEWLINE)
        case "IN":
            return Chars(_members(value, flags))
        case "BRANCH":
            return Branches(tuple(_row(each, flags, depth) for each in value[1]))
        case "SUBPATTERN":
            _, add, drop, body = value
            return _row(body, (flags | add) & ~drop, depth)
        case "ATOMIC_GROUP":
            return Atom(_row(value, flags, depth))
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, body = value
            limit = None if str(most) == "MAXREPEAT" else int(most)
            return Repeat(_row(body, flags, depth + 1), int(least), limit, op == "POSSESSIVE_REPEAT")
        case "ASSERT" | "ASSERT_NOT":
            direction, body = value
            return Look(_row(body, flags, depth)) if direction > 0 else Nothing()
        case "AT":
            return _at(str(value), flags)
        case "GROUPREF":
            return Again(_ALL)
        case "FAILURE":
            return PatternEnding(0, False)
    raise _Unknown(op)


def _at(place: str, flags: int) -> Node:
    if place == "AT_BEGINNING_STRING" or (place == "AT_BEGINNING" and not flags & re.MULTILINE):
        return Beginning()
    if place == "AT_END":
        return PatternEnding(_NEWLINE, bool(flags & _ONE_LINE))
    if place == "AT_END_STRING":
        return PatternEnding(0, bool(flags & _ONE_LINE))
    return Nothing()


def _members(items: Any, flags: int) -> int:
    found, negated = 0, False
    for op, value in items:
        match str(op):
            case "NEGATE":
                negated = True
            case "LITERAL":
                found |= 1 << value
            case "RANGE":
                low, high = value
                found |= (1 << (high + 1)) - (1 << low)
            case "CATEGORY":
                found |= _CATEGORIES[str(value)]
            case other:
                raise _Unknown(other)
    found = _cased(found, flags)
    return _ALL & ~found if negated else found & _ALL


def _cased(chars: int, flags: int) -> int:
    """Return the letters in both cases, where case does not matter."""
    if flags & re.IGNORECASE:
        for letter in _LETTERS:
            pair = 1 << ord(letter) | 1 << ord(letter.upper())
            if chars & pair:
                chars |= pair
    return chars
