"""Regular expressions as nginx writes them.

A configuration without one, as many are, needs nothing of what reads and judges patterns: 0.4 MiB in each process.
"""

from __future__ import annotations

from penstock.config.regex.backtracking import Risk
from penstock.config.regex.escapes import PcreError
from penstock.config.regex.pcre2 import library
from penstock.config.regex.regex import Match, MatchFailed, Regex

__all__ = ["Match", "MatchFailed", "PcreError", "Regex", "compile_pcre"]


def compile_pcre(pattern: str, *, caseless: bool = False) -> Regex:
    """Compile a PCRE pattern; `caseless` is what `~*` asks for. Raises `PcreError`, a `ValueError`.

    Python's `re` matches it, several times as fast as a call of the library is. Where it can not express the pattern,
    or a text could take it for ever, PCRE2 does.
    """
    from penstock.config.regex.engines import compile_pattern

    return compile_pattern(pattern, caseless)


def risk(pattern: str, *, caseless: bool = False, lines: bool = True) -> Risk:
    """Return how long a pattern can take; unknown where Python can not express it. `lines`: a text may have several."""
    from penstock.config.regex import engines

    return engines.risk(pattern, caseless=caseless, lines=lines)


def make_ready() -> None:
    """Load the library that may be needed, for who will compile patterns later. Raises `NoLibrary`."""
    library()
