"""A plan that has been made lets go of what it was made of: words of the configuration, and the levels they stood at.

That is four in ten of all its objects, and all of its cycles. What is left leads one way only, from addresses to
servers to locations to settings: whoever lets go of a plan frees it at once, but for what requests under way still go
by. A worker that takes up another plan does not have to stop and search for cycles.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.key import KeyedValues
from penstock.config.registry import Context
from penstock.config.scope import Scope
from penstock.plan.location import OWN_LOCATION, OWN_SERVER, Location, Server
from penstock.plan.plan import Plan

_ASKED = Context.MAIN | Context.EVENTS | Context.HTTP
"""Levels that are still asked for settings."""


def release(plan: Plan) -> None:
    """Let go of what only compiling needs: nothing more is compiled for this plan, and nobody asks what stood where.

    It goes from above to below, a level at a time, so that no single step frees much.
    """
    levels = [plan.main]
    while levels:
        level = levels.pop()
        levels += level.children
        _let_go(level)


def _let_go(level: Scope) -> None:
    location = level.data.get(OWN_LOCATION)
    if location is not None:
        location.scope = None
    server = level.data.get(OWN_SERVER)
    if server is not None:
        server.root.scope = None
    level.children = []
    level.directive = None
    level.data = KeyedValues()
    level.compilation.shared = KeyedValues()
    if level.context & _ASKED:
        return
    level.parent = None
    level.own = {}
    level.origins = {}


def pieces(plan: Plan) -> Iterator[Server | Location]:
    """Give servers and locations, outer ones before what is in them: who lets go of one at a time lets go of little."""
    for server in (*plan.servers, *plan.stream_servers):
        yield server
        yield from _inside(server.root)
        for named in server.named.values():
            yield from _inside(named)


def _inside(location: Location) -> Iterator[Location]:
    yield location
    if location.limited is not None:
        yield location.limited[1]
    if location.nested is not None:
        for each in location.nested.all:
            yield from _inside(each)
