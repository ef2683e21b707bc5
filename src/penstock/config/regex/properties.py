"""`\\p{...}`: Unicode properties over the 256 characters that a pattern without UTF can meet."""

from __future__ import annotations

import re

from penstock.config.regex.escapes import BeyondPython, PcreError

_PROPERTY = re.compile(r"[pP](?:\{\s*(\^?)\s*([A-Za-z&]+)\s*\}|([A-Za-z]))", re.ASCII)
_CATEGORIES = frozenset(
    "C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs".split()
)
_GROUPS = {"L&": ("Ll", "Lu", "Lt"), "Xan": ("L", "N"), "Xsp": (), "Xps": (), "Xwd": ("L", "N")}


def property_body(pattern: str, at: int) -> tuple[str, int]:
    """Read the property whose backslash is at `at`: the body of a set of its characters, and where to go on."""
    match = _PROPERTY.match(pattern, at + 1)
    if match is None:
        raise PcreError("malformed \\P or \\p sequence", at)
    name = match[2] or match[3]
    negated = (pattern[at + 1] == "P") != (match[1] == "^")
    return _ranges([code for code in range(256) if _has(chr(code), name, at) != negated]), match.end()


def _has(char: str, name: str, at: int) -> bool:
    from unicodedata import category

    if name == "Any":
        return True
    if name in _GROUPS:
        if name in ("Xsp", "Xps"):
            return char.isspace()
        return category(char).startswith(_GROUPS[name]) or (name == "Xwd" and char == "_")
    if name not in _CATEGORIES:
        raise BeyondPython(f"\\p{{{name}}} (a script) is not supported", at)
    return category(char).startswith(name)


def _ranges(codes: list[int]) -> str:
    ranges: list[tuple[int, int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = ranges[-1][0], code
        else:
            ranges.append((code, code))
    return "".join(f"\\x{first:02x}-\\x{last:02x}" for first, last in ranges)
