"""Server-side includes in a text: what is text, and what is `<!--#command name="value" -->`."""

from __future__ import annotations

import re
from dataclasses import dataclass

OPENING = "<!--#"
LONGEST = 16384
"""Characters a command may take."""

_PARAM = r"""\s+([A-Za-z0-9_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')"""
_COMMAND = re.compile(rf"<!--#\s*([A-Za-z]+)((?:{_PARAM})*)\s*-->", re.ASCII | re.DOTALL)
_EACH = re.compile(_PARAM, re.ASCII | re.DOTALL)
_QUOTED = re.compile(r"""(?:[^"'\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*?-->""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SsiCommand:
    """One command; `text` is how it was written. A `name` of "" is what can not be understood."""

    name: str
    params: tuple[tuple[str, str], ...]
    text: str


class Scanner:
    """Cuts a text that comes in pieces. What may become a command is held back until it can be told."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> list[str | SsiCommand]:
        """Return what is complete now, in order."""
        held = self._held + text
        found: list[str | SsiCommand] = []
        at = 0
        while True:
            start = held.find(OPENING, at)
            if start < 0:
                end = len(held) - _begun(held, at)
                if end > at:
                    found.append(held[at:end])
                self._held = held[end:]
                return found
            if start > at:
                found.append(held[at:start])
            match = _COMMAND.match(held, start)
            if match is not None:
                found.append(SsiCommand(match[1], _params(match[2]), match[0]))
                at = match.end()
                continue
            other = _QUOTED.match(held, start)
            if other is None and len(held) - start <= LONGEST:
                self._held = held[start:]
                return found
            at = other.end() if other is not None else len(held)
            found.append(SsiCommand("", (), held[start:at]))

    def end(self) -> str:
        """Return what was held back and will never be a command."""
        held, self._held = self._held, ""
        return held


def _params(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((match[1], match[2] if match[2] is not None else match[3]) for match in _EACH.finditer(text))


def _begun(text: str, at: int) -> int:
    """How many characters at the end may be the beginning of an opening."""
    for count in range(min(len(OPENING) - 1, len(text) - at), 0, -1):
        if text.endswith(OPENING[:count]):
            return count
    return 0
