"""Colour for a person at a terminal, and for nobody else (https://no-color.org)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from penstock.cli.parsing import Parser

WISHES = ("auto", "always", "never")


class Ink:
    """Wraps words in the codes of a terminal, or leaves them as they are."""

    __slots__ = ("on",)

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, style: str, words: str) -> str:
        return f"\x1b[{_CODES[style]}m{words}\x1b[0m" if self.on and words else words


_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "1;31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
}


def ink_for(stream: TextIO, wish: str = "auto") -> Ink:
    """Choose how to paint. `wish` is what `--colour` says: always, never, or auto for a terminal whose user has not set
    NO_COLOR."""
    if wish != "auto":
        return Ink(wish == "always")
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return Ink(False)
    try:
        return Ink(stream.isatty())
    except ValueError:
        return Ink(False)


def add_colour(parser: Parser) -> None:
    """Add the option `--colour`."""
    parser.add_argument("--color", "--colour", choices=WISHES, default="auto", help="colour the text")
