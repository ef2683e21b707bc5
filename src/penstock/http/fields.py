"""Header blocks: the lines between the first line of a message and the empty one (RFC 9112 section 5).

Nearly every block is well formed and uses plain names, so one regular expression takes all of it in one go.
How one knows that it took all: it matches whole lines only, and it found as many as there are. Whatever it
does not take is read again, line by line, by code that can say what is wrong.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Headers: TypeAlias = list[tuple[str, str]]

# name ":" *SP value without spaces around. What the value may not hold is looked for in the whole head at
# once. The quantifiers are possessive: a line that does not fit costs one pass over it, not one per space.
_PLAIN = re.compile(r"^([A-Za-z0-9-]++): *+([^\r]*+)(?<! )\r\n", re.ASCII | re.MULTILINE)
_PLAIN_OR_UNDERSCORE = re.compile(r"^([A-Za-z0-9_-]++): *+([^\r]*+)(?<! )\r\n", re.ASCII | re.MULTILINE)

plain_fields = _PLAIN.findall
plain_or_underscore_fields = _PLAIN_OR_UNDERSCORE.findall

# Control characters but HTAB, and but CR and LF, whose places are checked by counting.
CONTROLS = bytes((*range(9), 11, 12, *range(14, 32), 127))

NAME = re.compile(r"([^\x00-\x20\x7f:]+):", re.ASCII)
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]", re.ASCII)

_REMEMBERED_MOST = 2048
_REMEMBERED_LONGEST = 48


class _Lower(dict[str, str]):
    """Names in lower case. The same few names come again and again; a stranger's do not fill the memory."""

    def __missing__(self, name: str) -> str:
        lower = name.lower()
        if len(name) <= _REMEMBERED_LONGEST:
            if len(self) >= _REMEMBERED_MOST:
                self.clear()
            self[name] = lower
        return lower


LOWER = _Lower()


def first_values(headers: Headers) -> dict[str, str]:
    """Lower-case name -> the first value it came with."""
    lower = LOWER
    fields = {lower[name]: value for name, value in headers}
    if len(fields) != len(headers):
        for name, value in reversed(headers):
            fields[lower[name]] = value
    return fields


def all_values(headers: Headers, name: str) -> list[str]:
    """Every value of a header, in order. `name` is in lower case."""
    lower = LOWER
    return [value for key, value in headers if lower[key] == name]


def decimal(value: str) -> int | None:
    """A Content-Length: digits and nothing else, within 63 bits. None for anything else."""
    if not value.isdecimal():
        return None
    digits = value.lstrip("0")
    if len(digits) > 19:
        return None
    number = int(digits or 0)
    return number if number <= 0x7FFF_FFFF_FFFF_FFFF else None
