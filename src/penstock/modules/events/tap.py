"""Whether somebody may look at what passes: `tap`, for `penstock tap`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.kinds import flag
from penstock.config.registry import HTTP_LEVELS
from penstock.config.settings import Settings, directive

if TYPE_CHECKING:
    from penstock.plan.plan import Plan

MODULE = "tap"


class TapRule(Settings):
    """Messages may be private to those who exchange them, whoever runs the proxy."""

    allowed: bool = directive(
        "tap",
        where=HTTP_LEVELS,
        takes=flag,
        default=True,
        doc="`off`: `penstock tap` shows nothing of tunnels and event streams here, whoever asks, from the reload on "
        "that brings it. Whoever may read the memory of the workers is not kept from it.",
    )


def untapped(plan: Plan) -> frozenset[tuple[str, str]]:
    """Return the servers and locations, by their names, where nobody may look on. What is open goes by the
    configuration in force, and so a name that stands twice is closed by either."""
    return frozenset(
        (server.name, each.name)
        for listen in plan.listens
        if not listen.stream
        for server in listen.servers
        for each in server.places()
        if not each[TapRule].allowed
    )
