"""The sets of characters PCRE knows by name and Python does not, as bodies of a Python `[...]`.

PCRE without UTF, as nginx uses it: 256 characters, and only ASCII ones are letters.
"""

from __future__ import annotations

import re

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


def posix(name: str) -> str:
    """The body for `[:name:]` or `[:^name:]`. Raises `KeyError` for a name PCRE does not know."""
    return others(_POSIX[name[1:]]) if name.startswith("^") else _POSIX[name]


def others(body: str) -> str:
    """The body for all characters that are not in `body`."""
    member = re.compile(f"[{body}]", re.ASCII)
    codes = [code for code in range(256) if not member.match(chr(code))]
    ranges: list[tuple[int, int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = ranges[-1][0], code
        else:
            ranges.append((code, code))
    return "".join(f"\\x{first:02x}-\\x{last:02x}" for first, last in ranges)
