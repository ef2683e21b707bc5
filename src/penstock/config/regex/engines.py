"""Which engine matches a regular expression as nginx writes it, and what it is in that one's language.

All that reads and judges patterns comes with this module, which is imported with the first pattern (`pcre.py`).
"""

from __future__ import annotations

import re

from penstock.config.regex.backtracking import UNKNOWN, Risk, judge
from penstock.config.regex.escapes import BeyondPython, PcreError
from penstock.config.regex.pcre2 import WANTED, Library, NoLibrary, PatternRefused, library, wanted
from penstock.config.regex.pcre2_regex import compile_by_pcre2
from penstock.config.regex.regex import Regex, python_search
from penstock.config.regex.translation import translate


def compile_pattern(pattern: str, caseless: bool) -> Regex:
    """Do what `pcre.compile_pcre` does."""
    try:
        first = library() if wanted() == "pcre2" else None  # which says, too, if what is wanted is not there
    except NoLibrary as error:
        raise PcreError(str(error), 0) from None
    if first is not None:
        return _by_pcre2(first, pattern, caseless)
    try:
        return _by_python(pattern, caseless)
    except PcreError as refusal:
        second = library()
        if second is None:
            if isinstance(refusal, BeyondPython):
                raise refusal.advised(WANTED) from None
            raise
        try:
            return _by_pcre2(second, pattern, caseless)
        except PcreError:
            if isinstance(refusal, BeyondPython):
                raise
        raise refusal


def _by_pcre2(engine: Library, pattern: str, caseless: bool) -> Regex:
    try:
        return compile_by_pcre2(engine, pattern, caseless=caseless, risk=risk(pattern, caseless=caseless))
    except PatternRefused as error:
        raise PcreError(error.reason, error.offset) from None


def risk(pattern: str, *, caseless: bool = False, lines: bool = True) -> Risk:
    """Do what `pcre.risk` does."""
    try:
        return judge(translate(pattern, caseless), _flags(caseless), lines=lines)
    except PcreError:
        return UNKNOWN


def _by_python(pattern: str, caseless: bool) -> Regex:
    translated, flags = translate(pattern, caseless), _flags(caseless)
    try:
        compiled = re.compile(translated, flags)
    except RecursionError:
        raise PcreError("the pattern is nested too deeply", 0) from None
    except (re.error, OverflowError) as error:
        raise BeyondPython(f"cannot be expressed here: {error}", len(pattern)) from None
    judged = judge(translated, flags)
    limited = None if judged.longest is None else _limited(pattern, caseless)
    search = python_search(pattern, compiled, judged, None if limited is None else limited.match)
    regex = Regex(pattern, search, compiled.groupindex, compiled.groups, judged)
    regex.python = compiled.pattern
    regex.further = None if limited is None else limited.further
    return regex


def _limited(pattern: str, caseless: bool) -> Regex | None:
    """Compile it for PCRE2, which has a limit; None if that is not there, or stricter about spelling."""
    engine = library()
    if engine is None:
        return None
    try:
        return compile_by_pcre2(engine, pattern, caseless=caseless, risk=UNKNOWN)
    except PatternRefused:
        return None


def _flags(caseless: bool) -> int:
    return re.ASCII | (re.IGNORECASE if caseless else 0)
