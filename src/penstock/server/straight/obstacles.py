"""What keeps requests off the straight way: an address, a server, a location, or the request itself.

Only what a location says decides whether it has a way (`way.py`). The rest is decided as connections and requests come
(`client.py`), and told here for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.registry import module_of
from penstock.modules.awaited import Awaited
from penstock.modules.core.http_core import HttpCore
from penstock.modules.events.event_stream import EVENTS, EventStreams
from penstock.modules.filters.slice import Slices
from penstock.modules.http2 import Http2, spoken_at
from penstock.modules.proxy.caching import Caching
from penstock.modules.proxy.pass_request import Passing
from penstock.modules.proxy.proxy import Proxy
from penstock.plan import phases

if TYPE_CHECKING:
    from penstock.config.settings import Settings
    from penstock.config.source import Span
    from penstock.http.request import Request
    from penstock.plan.location import Handler, Listen, Location, Server

JUDGES = (phases.PREACCESS, phases.ACCESS, phases.PRECONTENT)
"""Phases of those who are asked on the straight way, too, where they need no coroutine to wait in."""
NOT_FOUND = {
    "named": "it has a name: requests come here from another location",
    "if": "it is an if: requests come here from the location around it",
    "limit_except": "it is a limit_except: requests come here from the location around it",
}
"""Kinds of locations that no path leads to."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps requests off the straight way, in words, and where it was written."""

    words: str
    span: Span | None = None


def of_address(listen: Listen) -> list[Obstacle]:
    """Say what keeps some of the requests that come to an address off the straight way."""
    found: list[Obstacle] = []
    default = listen.default
    if listen.options.proxy_protocol:
        found.append(
            Obstacle(
                "the first request of a connection may take the general way, behind the PROXY protocol", listen.span
            )
        )
    # Over TLS it is agreed on before.
    if default is not None and spoken_at(listen, default) and not listen.options.ssl:
        span = listen.span if listen.options.http2 else default.root[Http2].origin("enabled")
        words = "the first request of a connection may take the general way, as it may begin to speak HTTP/2"
        found.append(Obstacle(words, span))
    return found


def of_request(request: Request) -> list[Obstacle]:
    """Say what keeps this one request off it, whatever the location says."""
    found: list[Obstacle] = []
    head = request.head
    if head.method not in ("GET", "HEAD"):
        found.append(Obstacle(f"the method is {head.method}"))
    elif head.method == "HEAD" and "upgrade" in head.fields:
        found.append(Obstacle("it is a HEAD that asks for another protocol"))
    if head.version not in (11, 20):
        found.append(Obstacle("it is no HTTP/1.1"))
    if head.content_length is not None or head.chunked or "expect" in head.fields:
        found.append(Obstacle("it has a body"))
    _, match = request.connection.listen.names.find(head.host)
    if match is not None:
        found.append(Obstacle("its server was found by a regular expression in server_name", request.server.span))
    if request.internal:
        found.append(Obstacle("it was sent on from another location"))
    return found


def of_answer(request: Request) -> list[Obstacle]:
    """Say what leads off the straight way once it is known what there is: nothing is done twice then."""
    caching = next((each for each in request.location.values() if isinstance(each, Caching) and each.caches), None)
    if caching is not None:
        words = "what is not in the cache, or not good any more, is fetched on the general way"
        return [Obstacle(words, caching.origin("cache"))]
    settings = request.location[EventStreams]
    asks = EVENTS in request.head.fields.get("accept", "").lower()
    if not asks and settings.mode[0] != "on":
        return []
    words = "an event stream, as any answer whose length is not known before, goes on the general way"
    return [Obstacle(words, settings.origin("mode"))]


def obstacles(server: Server, location: Location) -> list[Obstacle]:
    """Say what keeps a location off the straight way; nothing where it has one."""
    found: list[Obstacle] = []
    by_phase = location.phases
    if location.kind in NOT_FOUND:
        found.append(Obstacle(NOT_FOUND[location.kind], location.span))
    early = (*by_phase[phases.POST_READ], *server.root.phases[phases.SERVER_REWRITE], *by_phase[phases.REWRITE])
    for name, settings in {named(handler): handler for handler, _ in early}.items():
        found.append(Obstacle(f"{name} comes before the location is known for good", _written(settings)))
    if location.limited is not None:
        found.append(Obstacle("limit_except gives some methods another location", location.limited[1].span))
    if location.internal:
        found.append(Obstacle("it is internal", location.span))
    for number in JUDGES:
        found += [
            Obstacle(f"{named(handler)} may have to wait", _written(handler))
            for handler, waits in by_phase[number]
            if waits and not isinstance(handler, Awaited)
        ]
    if location[HttpCore].satisfy == "any" and by_phase[phases.ACCESS]:
        found.append(Obstacle("satisfy any weighs several judges", location[HttpCore].origin("satisfy")))
    for handler, waits in location.filters:
        if waits:
            found.append(Obstacle(f"{named(handler)} changes bodies as they come", _written(handler)))
    slices = location[Slices]
    if slices.size:
        found.append(Obstacle("its answers are put together from slices", slices.origin("size")))
    found += _of_content(location)
    return found


def passing_of(location: Location) -> Passing | None:
    """Return the settings by which a location passes requests on; None where it does not."""
    content = location.phases[phases.CONTENT]
    found = getattr(content[0][0], "__self__", None) if content else None
    return found if isinstance(found, Passing) else None


def _of_content(location: Location) -> list[Obstacle]:
    passing = passing_of(location)
    if passing is None:
        return [Obstacle("its answers are not proxy_pass's")]
    if passing.caches:
        assert isinstance(passing, Caching)
        if passing.rules.name.literal is not None:
            return []
        return [Obstacle(f"{passing.prefix}_cache has variables", passing.origin("cache"))]
    if not isinstance(passing, Proxy):
        words = f"{passing.prefix}_pass has no straight way, only proxy_pass has"
        return [Obstacle(words, passing.origin("target"))]
    there = passing.targets.fixed
    found = [
        (there is None, "proxy_pass has variables", "target"),
        (there is not None and there.secure, "proxy_pass is to https", "target"),
        (
            there is not None and there.group.spares is not None,
            "preconnect keeps connections for handshakes",
            "target",
        ),
        (passing.http_version == 20, "proxy_http_version is 2", "http_version"),
        (passing.bind is not None, "proxy_bind chooses an address for each request", "bind"),
        (bool(passing.allowed), "proxy_allow_upstream judges each server", "allowed"),
        (passing.request_dynamic, "proxy_request_dynamic writes each server another request", "request_dynamic"),
        (passing.stores, "proxy_store keeps answers", "store"),
        (passing.sets_body, "proxy_set_body gives requests a body", "body"),
        (passing.method is not None, "proxy_method gives them another method", "method"),
        (passing.force_ranges, "proxy_force_ranges cuts answers to pieces", "force_ranges"),
    ]
    return [Obstacle(words, passing.origin(name)) for holds, words, name in found if holds]


def _settings(handler: Handler) -> Settings | None:
    return getattr(handler, "__self__", None)


def _written(handler: Handler) -> Span | None:
    """Where the first line stands that somebody wrote for a handler's module."""
    settings = _settings(handler)
    if settings is None:
        return None
    return next((spans[0] for spans in settings.origins.values() if spans), None)


def named(handler: Handler) -> str:
    """Name the directive that asks for a handler, as it was written; its module where nobody has kept that."""
    span = _written(handler)
    if span is not None:
        return span.text.split(maxsplit=1)[0]
    settings = _settings(handler)
    return type(handler).__name__ if settings is None else module_of(type(settings).__module__)
