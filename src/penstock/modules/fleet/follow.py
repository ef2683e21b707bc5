"""How a worker takes up the fleet of a new plan: it has one link for its whole life, which goes by the latest plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.fleet.membership import FLEET
from penstock.shared.hints import HINTS

if TYPE_CHECKING:
    from penstock.modules.fleet.link import Link
    from penstock.net.loop import Loop
    from penstock.observe.meters import Meters
    from penstock.plan.plan import Plan


def follow_fleet(loop: Loop, plan: Plan, link: Link | None) -> Link | None:
    """Give a plan the worker's link, made when first a plan wants one. What tunnels hold goes on to be held, also where
    the new plan has no fleet: then nobody is told of it."""
    fleet = plan.shared.get(FLEET)
    if fleet is None:
        if link is not None:
            link.close()
        return link
    hints = plan.shared.get(HINTS)
    if link is None:
        from penstock.modules.fleet.link import Link

        link = Link(loop, fleet.options, hints)
    else:
        link.follow(fleet.options, hints)
    fleet.link = link
    link.listeners[b"invalidate"] = fleet.stale
    return link


def count_fleet(plan: Plan, meters: Meters | None) -> Meters | None:
    """Let the figures of this worker have those of its link, and return them."""
    if meters is not None:
        fleet = plan.shared.get(FLEET)
        meters.fleet = None if fleet is None else fleet.link
    return meters
