"""How long a pattern can take is told from the pattern: the usual ones are harmless, the known traps are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import pcre2
from penstock.config.regex.backtracking import ENDLESS, can_backtrack_badly
from penstock.config.regex.pcre import PcreError, compile_pcre


@pytest.mark.parametrize(
    ("degree", "pattern"),
    [
        (1, r"\.php$"),
        (1, r"\.(?:css|js|svg|gif|png|html|ttf|woff2?|ico|jpe?g)$"),
        (1, r"\.php(?:$|/)"),
        (1, r"^/api/(.*)$"),
        (1, r"^/api/v(\d+)/([^/]+)/(.*)$"),
        (1, r"^/(?:[^/]+/)*$"),
        (1, r"^(?:/[^/]*)*$"),
        (1, r"^www\.(?<domain>.+)$"),
        (1, r"^(?!.*admin)"),
        (1, r"^.*+x"),
        (1, r"^(?>.*)x"),
        (1, r"(bot|crawler|spider)"),
        (1, r"^.*\.(?:jpg|png)$"),
        (2, r"^(.+?\.php)(/.*)$"),
        (2, r"^/(.*)/(.*)$"),
        (2, r"foo.*bar.*"),
        (2, r"(android|bb\d+|meego).+mobile|avantgo"),
        (2, r"^([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,}$"),
        (2, r"^(.*)\1x"),
        (3, r"^/(.*)/(.*)/(.*)\.html$"),
        (3, r"^(.*)(.*)[^/]*/x"),
        (3, r"a[^x]*a[^x]*[bc]"),
        (3, r"(.*)/(.*)/(.*)"),
        (3, r"^\s*a?\s*b?\s*$"),
        (4, r"^.*a.*a.*a.*ab"),
        (ENDLESS, r"(a+)+$"),
        (ENDLESS, r"^(\w+\s?)*$"),
        (ENDLESS, r"^(([a-z])+.)+[A-Z]([a-z])+$"),
        (ENDLESS, r"^(?:a|a?b?)*$"),
        (ENDLESS, r"(x+x+)+y"),
        (ENDLESS, r"^(?:.*,){20}z"),
        (ENDLESS, r"^(?:a?){40}a{40}$"),
        (ENDLESS, r"(?:(?:a*)*)*b"),
        (ENDLESS, "(?:a|aa)" * 30 + "b"),
        (2, r"(a|b)*(?<=a)"),
        (2, r".+?^"),
        (2, r"()+(a|ab).+?a{2}b"),
        (3, r"(a|ab)b+a[ab]+[ab]+x"),
    ],
)
def test_degree(degree: int, pattern: str) -> None:
    assert compile_pcre(pattern).risk.degree == degree
    assert can_backtrack_badly(pattern, lines=True) == (degree >= 3)


@pytest.mark.parametrize(
    "pattern",
    [r"^/(.*)/(.*)/(.*)$", r"(?i)^(?<start>.*)(?<temp>[?&]private[-_]token)=[^&]*(?<rest>.*)$", r"^(.*)-(.*)-(.*)\z"],
)
def test_what_goes_to_the_end_of_the_line(pattern: str) -> None:
    """It can only fail for a text with a newline, and of most texts it is known that there is none."""
    assert can_backtrack_badly(pattern, lines=True)
    assert not can_backtrack_badly(pattern)
    assert can_backtrack_badly(pattern.removesuffix("$").removesuffix("\\z") + "x$")


def test_case_counts() -> None:
    assert compile_pcre("^(a+A?)+$").risk.degree == ENDLESS
    assert compile_pcre("^(?:a+B)*c").risk.degree < 3
    assert compile_pcre("^(?:a+A)*c", caseless=True).risk.degree == ENDLESS


def test_judging_takes_no_time_itself() -> None:
    many = "|".join(f"b{number}+" for number in range(2000))
    for pattern in ("(?:" * 150 + "a" + ")?" * 150, f"({many})", "(a?b?)" * 300):
        compile_pcre(pattern)


PIECES = [*"abx/.", "a*", "b+", ".*", ".+?", "[^/]*", "[ab]+", "(a|b)*", "(?:a+b)*"]
PIECES += ["a{2}", "a?", "$", "(?=a+)", "(a|ab)", "^", r"\b", "(?<=a)", "(?!a)", "()+", "(?:a?b)+", "a{3,}?", "(?>a+)"]
UNITS = st.sampled_from(["a", "ab", "/", "/a"])


@pytest.mark.skipif(pcre2.LIBRARY is None, reason="no PCRE2 library to count with")
@given(st.booleans(), st.lists(st.sampled_from(PIECES), max_size=5).map("".join), UNITS)
def test_what_is_called_harmless_takes_few_steps(anchored: bool, pattern: str, unit: str) -> None:
    """The library counts: with so few steps for each character no cube, and hardly a square, comes to its end."""
    try:
        regex = compile_pcre("^" + pattern if anchored else pattern)
    except PcreError:
        return
    if regex.risk.degree > 1:
        return
    for text in (unit * 400, unit * 400 + "!", "\n" + unit * 400 + "\n\n"):
        counted = pcre2.Pattern(f"(*LIMIT_MATCH={60 * len(text)})(*NO_START_OPT){regex.pattern}")
        assert counted.code(text) >= -1, (regex.pattern, text[:10])
