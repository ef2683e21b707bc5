"""What a rule is: an id that people can search for, a sentence, and a function that looks at a whole configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from penstock.doctor.finding import Finding, Severity
from penstock.doctor.site.site import Site

Look: TypeAlias = Callable[[Site], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`severity` is the worst it says. `docs/rules/ID.md` tells symptom, cause and cure. `loud`: its notes are shown
    even where no others are."""

    id: str
    severity: Severity
    title: str
    look: Look
    loud: bool = False
