r"""Bytes that are expected, with places for what is not known before: `\<date>`, `\<digits>`, `\<line>` ...

`\<digits=port>` keeps what stood there, and `\<port>` is that from then on. Everything else is spelled as for
`differential.spelling`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from differential.spelling import unspelled

_HOLE = re.compile(r"\\<([a-z]+)(?:=([a-z0-9]+))?>")
HOLES = {
    "any": rb"[\x00-\xff]*",
    "line": rb"[^\r\n]*",
    "word": rb"[^\s\"]+",
    "digits": rb"[0-9]+",
    "hex": rb"[0-9a-f]+",
    "date": rb"[A-Z][A-Za-z0-9,: ]+GMT",
    "key": rb"[A-Za-z0-9+/=]+",
}


@dataclass(frozen=True, slots=True)
class Hole:
    """A place for any bytes of a kind."""

    pattern: bytes
    name: str


@dataclass(slots=True)
class Verdict:
    """How far bytes are as expected: `end` behind the last of them when all is there, else None; `at` is the first byte
    that is wrong, None while more may make it right."""

    end: int | None = None
    at: int | None = None
    kept: dict[str, bytes] = field(default_factory=dict)


class Expected:
    """A spelled text with holes."""

    def __init__(self, text: str, known: Mapping[str, bytes]) -> None:
        self.parts: list[bytes | Hole] = []
        at = 0
        for found in _HOLE.finditer(text):
            self._add(unspelled(text[at : found.start()]))
            at = found.end()
            kind, name = found[1], found[2] or ""
            if kind in HOLES:
                self.parts.append(Hole(HOLES[kind], name))
            elif kind in known:
                self._add(known[kind])
            else:
                raise ValueError(f"\\<{kind}> is neither one of {', '.join(HOLES)} nor has it been kept")
        self._add(unspelled(text[at:]))

    def _add(self, literal: bytes) -> None:
        if self.parts and isinstance(self.parts[-1], bytes):
            self.parts[-1] += literal
        elif literal or not self.parts:
            self.parts.append(literal)

    def begins(self, data: bytes, *, final: bool = False) -> Verdict:
        """Look for it at the beginning of `data`. `final`: there will be no more bytes."""
        at = 0
        kept: dict[str, bytes] = {}
        for part in self.parts:
            if isinstance(part, Hole):
                found = re.compile(part.pattern).match(data, at)
                if found is None:
                    return Verdict(at=at if final or at < len(data) else None)
                if found.end() == len(data) and not final:
                    return Verdict()
                at = found.end()
                kept[part.name] = found[0]
                continue
            piece = data[at : at + len(part)]
            if piece != part:
                wrong = next((n for n, (one, two) in enumerate(zip(piece, part, strict=False)) if one != two), None)
                if wrong is None and not final:
                    return Verdict()
                return Verdict(at=at + (len(piece) if wrong is None else wrong))
            at += len(part)
        return Verdict(end=at, kept=kept)

    def all_of(self, data: bytes) -> Verdict:
        """Compare with all of `data`."""
        verdict = self.begins(data, final=True)
        if verdict.end is not None and verdict.end < len(data):
            return Verdict(at=verdict.end)
        return verdict

    def within(self, text: str) -> re.Match[bytes] | None:
        """Find it anywhere in a text."""
        pattern = b"".join(part.pattern if isinstance(part, Hole) else re.escape(part) for part in self.parts)
        return re.search(pattern, text.encode("utf-8"))
