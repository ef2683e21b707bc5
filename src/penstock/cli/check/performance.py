"""Which locations that pass requests on keep them off the straight way, by which lines, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.cli.check.dry_run import complete
from penstock.cli.reading import Read
from penstock.config.addresses import address_text
from penstock.doctor.check import GENERAL_WAY, Ways
from penstock.doctor.finding import NOTE, Finding, Related
from penstock.modules.core.locations import all_locations
from penstock.plan.location import Listen, Location, Server
from penstock.plan.plan import Plan
from penstock.process.startup.launch import Launch
from penstock.server.straight.obstacles import Obstacle, obstacles, of_address, passing_of

COST = "a request costs half as many instructions again, a handshake a quarter more, beside what these lines do"
"""From `experiments/requests.md`: 168,700 for 113,700 and 473,000 for 378,500."""
NO_CURE = "who begins in one way or another is read by what can wait; whatever follows goes straight"


def ways_of(launch: Launch, texts: Mapping[str, str], found: Read) -> Ways:
    """Look at each location of a configuration that passes requests on, and at the addresses that lead to one. Nothing
    is known of what is not accepted: then there is no location."""
    read = found if found.plan is not None else complete(launch, texts, found)
    return Ways(0, 0, ()) if read is None or read.plan is None else _ways(read.plan)


def _ways(plan: Plan) -> Ways:
    told: list[Finding] = []
    count = straight = 0
    passing: set[Server] = set()
    for server in plan.servers:
        for location in _passing(server):
            passing.add(server)
            count += 1
            found = obstacles(server, location)
            if found:
                told.append(_of_location(location, found))
            else:
                straight += 1
    for listen in plan.listens:
        if not listen.stream and not passing.isdisjoint(listen.servers):
            told += _of_address(listen)
    return Ways(straight, count, tuple(dict.fromkeys(told)))


def _passing(server: Server) -> Iterable[Location]:
    """Its locations with a target of their own: what stands in an `if` has that of the location around it."""
    seen = set()
    for location in all_locations([server.root]):
        passing = passing_of(location)
        span = None if passing is None else passing.origin("target")
        if span is not None and (span.file, span.start) not in seen:
            seen.add((span.file, span.start))
            yield location


def _of_location(location: Location, found: list[Obstacle]) -> Finding:
    name = location.name if location.span is None else location.span.text
    words = "; ".join(each.words for each in found)
    related = tuple(Related(each.span, each.words) for each in found if each.span is not None)
    return Finding(
        GENERAL_WAY,
        NOTE,
        f"{name}: requests take the general way: {words}",
        location.span,
        advice=COST,
        related=related,
    )


def _of_address(listen: Listen) -> list[Finding]:
    name = address_text(listen.address)
    return [
        Finding(GENERAL_WAY, NOTE, f"{name}: {each.words}", each.span, advice=NO_CURE)
        for each in of_address(listen)
    ]
