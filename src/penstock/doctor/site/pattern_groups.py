"""The capturing groups of a regular expression as it is written: which there are, and what they may hold."""

from __future__ import annotations

import re
from typing import NamedTuple

from penstock.doctor.site.level import Level

_NAMED = re.compile(r"\?(?:P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')", re.ASCII)
_NOT_A_LINE = re.compile(r"\\[snrRvDWH]|\\x0[aAdD]|\\S")
_ANYTHING = re.compile(r"\\[DWsRvnH]|\(\?[a-z]*s[a-z]*[):]|\[(?:\\s\\S|\\S\\s|\\w\\W|\\W\\w|\\d\\D|\\D\\d)\]")
_NEGATED = re.compile(r"\[\^((?:\\.|[^\]\\])+)\]")


class PatternGroup(NamedTuple):
    """`start` and `end` are the offsets of its parentheses; `text` is what is between them, without a name."""

    name: str
    start: int
    end: int
    text: str


def groups(pattern: str) -> list[PatternGroup]:
    """Return the groups that capture, as they are counted: by their opening parentheses."""
    opened: list[int | None] = []
    found: list[PatternGroup | None] = []
    place = 0
    while place < len(pattern):
        char = pattern[place]
        if char == "\\":
            place += 1
        elif char == "[":
            place = _behind_class(pattern, place)
        elif char == "(":
            named = _NAMED.match(pattern, place + 1)
            if named is None and pattern[place + 1 : place + 2] in ("?", "*"):
                opened.append(None)
            else:
                opened.append(len(found))
                found.append(PatternGroup("" if named is None else named[1] or named[2], place, place, ""))
        elif char == ")" and opened:
            number = opened.pop()
            group = None if number is None else found[number]
            if group is not None and number is not None:
                inside = pattern[group.start + 1 : place]
                named = _NAMED.match(inside)
                found[number] = group._replace(end=place, text=inside[named.end() :] if named else inside)
        place += 1
    return [each for each in found if each is not None]


def _behind_class(pattern: str, place: int) -> int:
    """The offset of the bracket that ends a class."""
    place += 1
    if pattern[place : place + 1] == "^":
        place += 1
    place += 1  # a bracket that comes first is one of the class
    while place < len(pattern) and pattern[place] != "]":
        place += 2 if pattern[place] == "\\" else 1
    return place


def may_hold_line_ends(group: PatternGroup) -> bool:
    """Return whether a pattern can match a line feed; a dot does not, but `[^/]` does."""
    if _ANYTHING.search(_NEGATED.sub("", group.text)):
        return True
    return any(not _NOT_A_LINE.search(each[1]) for each in _NEGATED.finditer(group.text))


def pattern_of(level: Level) -> str:
    """Return the regular expression of a location, "" for one that has none."""
    return level.path if level.kind == "location" and level.modifier in ("~", "~*") else ""
