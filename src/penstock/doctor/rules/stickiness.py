"""Sessions that begin with one server and go on with another."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.tree import Directive
from penstock.doctor.finding import WARNING, Edit, Finding, Fix, Related
from penstock.doctor.repair.cures import with_directive
from penstock.doctor.repair.edits import opening, removed
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.site import PassLevel, Site, members
from penstock.doctor.site.traffic import library

_STICKY = ("ip_hash", "hash", "sticky", "sticky_cookie_insert")
_OTHER_METHODS = ("least_conn", "random", "least_time", "round_robin")
_FORWARDED = (
    "$http_x_forwarded",
    "$http_x_real_ip",
    "$http_cf_",
    "$http_true_client_ip",
    "$http_forwarded",
    "$proxy_protocol_addr",
)
_NOT_ASKED = ("log_format", "access_log", "error_log")
_OPENS_ONCE = {
    "socket.io": "the client does not connect to its namespaces again, and its session is not recovered",
    "SignalR": "the client does not say again which protocol it speaks",
}
"""Libraries whose clients open a session in a WebSocket's first messages. SockJS is none: its client closes a WebSocket
in which a session begins a second time, and comes back."""


def missing(site: Site) -> Iterator[Finding]:
    """Find several servers, and a library whose sessions need one."""
    seen: set[int] = set()
    for place in site.passes:
        group, name = place.group, library(place.place)
        if group is None or name is None or id(group) in seen or len(members(group)) < 2:
            continue
        if any(group.own(each) for each in _STICKY):
            continue
        seen.add(id(group))
        first = members(group)[1]
        yield Finding(
            "sticky-missing",
            WARNING,
            f'{name} needs all requests of a session at one server, and upstream "{group.name}" has '
            f"{len(members(group))} without stickiness",
            group.directive.span if group.directive is not None else first.span,
            label='"Session ID unknown", 400 or 404 in the middle of a connection',
            advice="add: ip_hash; or a hash of what the session is known by",
            related=(Related(place.directive.span, f"where {name} goes through"),),
            fix=_ip_hash(group),
        )


def _ip_hash(group: Level) -> Fix | None:
    if any("backup" in each.words for each in group.own("server")):
        return None
    edits: list[Edit | None] = [opening(group, ["ip_hash;"])]
    for name in _OTHER_METHODS:
        edits += [removed(each) for each in group.own(name)]
    return Fix("keep a client at one server", tuple(each for each in edits if each is not None))


def behind_proxy(site: Site) -> Iterator[Finding]:
    """Find a group that hashes the address of the proxy before this one."""
    seen: set[int] = set()
    for place in site.passes:
        group = place.group
        if group is None or id(group) in seen:
            continue
        by_address = group.own("ip_hash") or [
            each for each in group.own("hash") if each.words[:1] in (("$remote_addr",), ("$binary_remote_addr",))
        ]
        if not by_address or len(members(group)) < 2 or place.level.find("set_real_ip_from") is not None:
            continue
        sign = _fronted(place)
        if sign is None:
            continue
        seen.add(id(group))
        yield Finding(
            "ip-hash-behind-proxy",
            WARNING,
            f'upstream "{group.name}" is balanced by the client\'s address, but there is a proxy before this server',
            by_address[0].span,
            label="everybody comes from that proxy's address, and goes to one server",
            advice="say whom to believe: set_real_ip_from ADDRESS-OF-THE-PROXY; real_ip_header X-Forwarded-For;",
            related=(Related(sign.span, "which shows that there is one"),),
        )


def _fronted(place: PassLevel) -> Directive | None:
    """The directive that shows that requests come through another proxy."""
    for level in place.level.outwards():
        for each in level.items:
            name = each.name.text
            if name == "listen" and "proxy_protocol" in each.words:
                return each
            if name in _NOT_ASKED or name == "upstream" or (each.block is not None and name not in ("if", "map")):
                continue
            text = " ".join(each.words).lower()
            if any(mark in text for mark in _FORWARDED):
                return each
    return None


def redialled(site: Site) -> Iterator[Finding]:
    """Find `websocket_redial` for a library whose session lives in one server and is opened once."""
    seen: set[int] = set()
    for place in site.passes:
        level, name = place.place, library(place.place)
        redial = place.level.find("websocket_redial")
        if redial is None or redial.words[:1] in ((), ("off",)) or not place.automatic or id(level) in seen:
            continue
        if name not in _OPENS_ONCE:
            continue
        seen.add(id(level))
        own = redial in level.own("websocket_redial")
        yield Finding(
            "redial-session",
            WARNING,
            f"websocket_redial gives {name} another backend, which does not know the session",
            redial.span if own else place.directive.span,
            label=_OPENS_ONCE[name],
            advice="write: websocket_redial off; so that the client is closed, and comes back to a session by itself",
            related=() if own else (Related(redial.span, "which holds here"),),
            fix=_not_redialled(level, redial if own else None),
        )


def _not_redialled(level: Level, redial: Directive | None) -> Fix | None:
    if redial is None:
        edits = with_directive(level, "websocket_redial off;")
    else:
        first, last = redial.args[0].span, redial.args[-1].span
        edits = [Edit(first.source, first.start, last.end, "off")] if first.source is last.source else []
    return Fix("close such a client, as without websocket_redial", tuple(edits)) if edits else None


RULES = (
    Rule("sticky-missing", WARNING, "several servers without stickiness for a library that needs it", missing),
    Rule("ip-hash-behind-proxy", WARNING, "balanced by the address of another proxy", behind_proxy),
    Rule("redial-session", WARNING, "websocket_redial for sessions that the next backend does not know", redialled),
)
