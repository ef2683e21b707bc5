"""Regular expressions in a page with server-side includes: a backend wrote them, so that they are bounded in all."""

from __future__ import annotations

from functools import lru_cache
from time import process_time

from penstock.config.regex.pcre import compile_pcre
from penstock.config.regex.regex import Match, MatchFailed, Regex

LONGEST_PATTERN = 1024
MOST_TIME = 0.3
"""Seconds of the processor for all expressions of a page, and of what it includes: a match that has begun may take
what any match may."""

_kept = lru_cache(maxsize=64)(compile_pcre)


class BadExpression(Exception):
    """The text is for the error log."""


class GivenUp(BadExpression):
    """The match takes too long, or all those of the page have."""


class Expressions:
    """What the pages of one request have spent on matching."""

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0.0

    def match(self, pattern: str, text: str) -> Match | None:
        """Find a pattern in a text. Raises `BadExpression`."""
        if len(pattern) > LONGEST_PATTERN:
            raise BadExpression(f'regular expression "{pattern[:64]}..." is longer than {LONGEST_PATTERN} characters')
        if self.spent > MOST_TIME:
            raise GivenUp(f'"{pattern}" is not tried: the expressions of this page have taken {self.spent:.1f} s')
        began = process_time()
        try:
            return self._compiled(pattern).match(text)
        except MatchFailed as error:
            raise GivenUp(str(error)) from None
        finally:
            self.spent += process_time() - began

    def _compiled(self, pattern: str) -> Regex:
        try:
            return _kept(pattern)
        except ValueError as error:
            raise BadExpression(f'invalid regular expression "{pattern}": {error}') from None
