"""A refused handshake in plain terms: what was asked, what was said, and a cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

EXCERPT = 120
"""Characters of a body that are shown to a person."""


@dataclass(frozen=True, slots=True)
class RefusedHandshake:
    """A handshake: the target of its request line, the version of HTTP (10, 11, 20), its headers by lower-case name."""

    target: str
    fields: Mapping[str, str] = field(default_factory=dict)
    version: int = 11


@dataclass(frozen=True, slots=True)
class Said:
    """An answer to it, and the beginning of the answer's body as latin-1 text, as far as it is at hand."""

    status: int
    fields: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """One explanation. `sure`: it is seen, not guessed. `advice` says what to write, in words of nginx where it can."""

    id: str
    text: str
    advice: str
    sure: bool = False

    def __str__(self) -> str:
        return f"{self.text}; {self.advice}" if self.advice else self.text


Rule = Callable[[RefusedHandshake, Said, "RefusedHandshake | None"], "Iterator[Cause]"]


def described(got: Said) -> str:
    """Describe in a few words what was answered: status, where it redirects to, the beginning of a body of text."""
    words = [str(got.status)]
    if "location" in got.fields:
        words.append(f"to {excerpt(got.fields['location'])}")
    elif got.body and _is_words(got):
        words.append(f'"{excerpt(got.body)}"')
    return " ".join(words)


def excerpt(text: str) -> str:
    """Cut what a peer wrote to one bounded line. It is not escaped: whoever prints it does that."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 3] + "..."


def _is_words(got: Said) -> bool:
    kind = got.fields.get("content-type", "text/plain").lower()
    return "html" not in kind and ("text" in kind or "json" in kind) and got.body.isprintable()
