"""A handshake that was tried in a rehearsal: what the doctor asks for, and what it is told.

Rehearsals run the engine, which stands above this floor; whoever calls `check` hands in the function that makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from penstock.config.source import Span
from penstock.doctor.explanation import Explanation

UNSET = "penstock-not-set-in-this-piece"
"""What a variable is in a rehearsal of a piece whose other files give it its value."""


@dataclass(frozen=True, slots=True)
class TriedHandshake:
    """`visited`: the search for a location found the one that was asked about, or the request ended in it. `decided`
    is the module that answered before any backend, `kind` that of the block where the request was in the end."""

    told: Explanation
    visited: bool
    decided: str
    kind: str


class Rehearse(Protocol):
    """Tries a handshake at the server of a location (given by its span), for a request target. None where it can not
    be tried. Conditions of `if` for which `over` is true are taken as not holding."""

    def __call__(
        self, location: Span, target: str, over: Callable[[str], bool] | None = None
    ) -> TriedHandshake | None: ...
