"""Header blocks: the lines between the first line of a message and the empty one (RFC 9112 section 5).

Nearly every block is well formed and uses plain names, so one regular expression takes all of it in one go.
How one knows that it took all: it matches whole lines only, and it found as many as there are. Whatever it
does not take is read again, line by line, by code that can say what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from penstock.shared.compiled import are_wanted

Headers: TypeAlias = list[tuple[str, str]]

# field-line (RFC 9112, section 5): name ":" *SP value without spaces around. What the value may not hold is looked for
# in the whole head at once. The quantifiers are possessive: a line that does not fit costs one pass over it, not one
# per space.
_PLAIN = re.compile(r"^([A-Za-z0-9-]++): *+([^\r]*+)(?<! )\r\n", re.ASCII | re.MULTILINE)
_PLAIN_OR_UNDERSCORE = re.compile(r"^([A-Za-z0-9_-]++): *+([^\r]*+)(?<! )\r\n", re.ASCII | re.MULTILINE)

plain_fields = _PLAIN.findall
plain_or_underscore_fields = _PLAIN_OR_UNDERSCORE.findall

# Control characters but HTAB, and but CR and LF, whose places are checked by counting.
CONTROLS = bytes((*range(9), 11, 12, *range(14, 32), 127))

# field-name as nginx takes it: a token (RFC 9110, section 5.6.2), and more.
NAME = re.compile(r"([^\x00-\x20\x7f:]+):", re.ASCII)
# What no field-value holds (RFC 9110, section 5.5): control characters but HTAB.
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
    """Return the first value of each header, by its name in lower case."""
    lower = LOWER
    fields = {lower[name]: value for name, value in headers}
    if len(fields) != len(headers):
        for name, value in reversed(headers):
            fields[lower[name]] = value
    return fields


Lines: TypeAlias = "tuple[Headers, dict[str, str]] | None"

plain_lines: Callable[[bytes, int, dict[str, str], bool, bool], Lines] | None = None
"""Read the header lines of a head from an offset on: `plain_fields` and `first_values` in one pass. It gets `LOWER`,
whether names may have underscores, and whether control characters are unusual in values. None where something is
unusual. There is no such function where nothing is compiled: the expressions above do the same."""

if are_wanted():
    try:
        from penstock.http import _tokens
    except ImportError:
        pass
    else:
        plain_lines = _tokens.fields


STAYS = frozenset({"Upgrade", "upgrade", "keep-alive", "Keep-Alive", "keep-alive, Upgrade"})
"""Values of Connection that most who send one send: by none of them a connection of HTTP/1.1 ends."""


def all_values(headers: Headers, name: str) -> list[str]:
    """Return every value of a header, in order. `name` is in lower case."""
    lower = LOWER
    return [value for key, value in headers if lower[key] == name]


def decimal(value: str) -> int | None:
    """Read a Content-Length: digits and nothing else, within 63 bits. None for anything else."""
    if not value.isdecimal():
        return None
    digits = value.lstrip("0")
    if len(digits) > 19:
        return None
    number = int(digits or 0)
    return number if number <= 0x7FFF_FFFF_FFFF_FFFF else None
