"""One line of the log when Redis is lost, whatever the number of workers and of attempts; its return is quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.observe.errorlog import ERROR, INFO, report

if TYPE_CHECKING:
    from penstock.modules.fleet.membership import FleetOptions
    from penstock.shared.hints import Hints

PAUSE = 60.0
"""Seconds for which workers of a machine say the same trouble once."""

ELSEWHERE = ("READONLY", "MOVED", "NOAUTH", "MASTERDOWN", "LOADING", "CLUSTERDOWN")
"""Errors that connecting anew may cure: another server has the keys now."""

MEANWHILE = {
    "local": "this machine's share of the limits counts",
    "open": "the limits of this machine alone count",
    "closed": "what needs a limit of the fleet is refused",
}


class Loss:
    """`lost` says whether Redis is lost now, `count` how often it was."""

    __slots__ = ("count", "hints", "lost")

    def __init__(self, hints: Hints | None) -> None:
        self.hints = hints
        self.lost = False
        self.count = 0

    def say(self, options: FleetOptions, why: str, now: float) -> None:
        """Say that Redis is not to be heard of, if that is news."""
        if self.lost:
            return
        self.lost = True
        self.count += 1
        where = options.address.shown
        if self.hints is not None and not self.hints.may_say(f"fleet {where}", now, PAUSE):
            return
        report(None, ERROR, f"fleet: {where} {why}; until it does, {MEANWHILE[options.on_error]}")

    def found(self, options: FleetOptions) -> None:
        """Note that it is heard of again."""
        if self.lost:
            self.lost = False
            report(None, INFO, f"fleet: {options.address.shown} answers")
