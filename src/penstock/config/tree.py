"""The shape of a parsed configuration: directives made of words. What they mean is no matter here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from penstock.config.source import Span


class Word(NamedTuple):
    """A name or an argument after quotes and escapes are gone; `span` covers the quotes too.

    A named tuple because a large configuration makes a hundred thousand of them.
    """

    text: str
    span: Span
    quoted: bool


@dataclass(frozen=True, slots=True)
class Directive:
    """`name args ;` or `name args { block }`; `span` runs from the name to the end of the last argument."""

    name: Word
    args: tuple[Word, ...]
    block: tuple[Directive, ...] | None
    span: Span

    @property
    def text(self) -> str:
        """Return the directive's name."""
        return self.name.text

    @property
    def words(self) -> tuple[str, ...]:
        """Return the arguments' texts."""
        return tuple(arg.text for arg in self.args)
