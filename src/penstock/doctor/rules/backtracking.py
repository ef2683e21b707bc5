"""Regular expressions that a request can make take very long."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.regex.backtracking import ENDLESS, UNKNOWN
from penstock.doctor.finding import WARNING, Finding
from penstock.doctor.rule import Rule
from penstock.doctor.site.patterns import patterns
from penstock.doctor.site.site import Site

_POWERS = {3: "the cube of its length", 4: "the fourth power of its length"}


def backtracking(site: Site) -> Iterator[Finding]:
    """Find patterns whose repeats share a text out among themselves, in every way there is, before they give up."""
    for pattern in patterns(site.tree):
        risk = pattern.risk
        if risk is UNKNOWN or not risk.bad:
            continue
        degree = risk.degree
        if degree == ENDLESS:
            costs = "doubles the work with each character"
            advice = "let the inner repeat take nothing that could begin the outer one anew: ([^,]+,)* and not (.+,)*"
        else:
            costs = f"takes {_POWERS.get(degree, f'its length to the power of {degree}')} in steps"
            advice = "let each part end where the next begins: ([^/]*)/ and not (.*)/; or keep what it took: .*+"
        engine = "nginx works on it for up to minutes" if site.target.nginx else "it is given up: a 500, or no match"
        yield Finding(
            "regex-backtracking",
            WARNING,
            f"a text that almost matches {pattern.text} {costs}",
            pattern.word.span,
            label=f"a request of a few KB is enough; {engine}",
            advice=advice,
        )


RULES = (
    Rule("regex-backtracking", WARNING, "a regular expression that a request can keep busy for long", backtracking),
)
