"""What Connection says to requests that are no handshakes, and whom it lets through that is no WebSocket."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.tree import Directive
from penstock.doctor.finding import NOTE, WARNING, Edit, Finding, Fix, Related
from penstock.doctor.repair.cures import connection_for, with_headers
from penstock.doctor.repair.edits import renamed, replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.maps import CLEARTEXT_HTTP2, HANDSHAKE, ORDINARY, UNSAID, asks
from penstock.doctor.site.site import PassLevel, Site
from penstock.doctor.site.traffic import may_carry_sockets, mixed


def literal(site: Site) -> Iterator[Finding]:
    """Find `Connection "upgrade"` where ordinary requests come too."""
    for place in site.passes:
        for line in place.headers("connection"):
            value = line.words[1]
            if "$" in value or "upgrade" not in value.lower() or not place.passes_websockets or place.automatic:
                continue
            both = mixed(place.place)
            if (both is None and may_carry_sockets(place.place)) or not _asked(place):
                continue
            everything = both is not None or place.place.path == "/" or place.place.kind != "location"
            name, edits = connection_for(site, place)
            yield Finding(
                "connection-literal",
                WARNING if everything else NOTE,
                f'ordinary requests at {place.shown} are sent with "Connection: {value}" too, and without an Upgrade',
                line.span,
                label="a backend may take it for an upgrade: 400, or a kept connection that is good for nothing",
                advice="let a map decide: proxy_set_header Connection $connection_upgrade;",
                fix=Fix("let a map decide what Connection says", (*edits, replaced(line.args[1], name)))
                if name != '"upgrade"'
                else None,
            )


def _asked(place: PassLevel) -> bool:
    return any(asks(each.words[1]) for each in place.headers("upgrade"))


def cleartext_http2(site: Site) -> Iterator[Finding]:
    """Find where `Upgrade: h2c` goes through beside what is forbidden on the same server."""
    seen: set[int] = set()
    known: dict[int, list[Level]] = {}
    for place in site.passes:
        lines = [] if place.automatic or place.off else place.headers("connection")
        if place.sends("upgrade", CLEARTEXT_HTTP2) != "h2c" or not lines or id(lines[-1]) in seen:
            continue
        if "upgrade" not in place.sends("connection", CLEARTEXT_HTTP2).lower():
            continue
        server = place.level.enclosing("server")
        if id(server) not in known:
            known[id(server)] = _guarded(site, server)
        guarded = _around(site, place, known[id(server)])
        if guarded is None or guarded.directive is None:
            continue
        seen.add(id(lines[-1]))
        yield Finding(
            "h2c-upgrade",
            WARNING,
            f"{place.shown} passes on any Upgrade: with h2c a client gets a tunnel to the backend, "
            f"past the rules of location {guarded.name}",
            lines[-1].span,
            label="whatever the client names is asked for",
            advice="let only WebSockets through: map $http_upgrade $name { default ''; websocket upgrade; }",
            related=(Related(guarded.directive.span, "what can be reached around its rules"),),
            fix=Fix("let only WebSockets through", tuple(_only_websockets(site, place, lines[-1]))),
        )


def _guarded(site: Site, server: Level | None) -> list[Level]:
    """Locations of a server that not everybody may reach."""
    found = []
    for level in server.walk() if server is not None else ():
        if level.kind != "location" or level.path.startswith("\\."):
            continue
        refuses = any("all" in each.words for each in level.own("deny"))
        who = [*level.own("auth_basic"), *level.own("auth_request")]
        asks_who = any(each.words[:1] != ("off",) for each in who)
        shut = any(each.words[:1] in (("403",), ("404",), ("401",)) for each in level.own("return"))
        passed = id(level) in site.passing
        if (refuses or asks_who) if passed else (shut or refuses) and _prefix(level):
            found.append(level)
    return found


def _around(site: Site, place: PassLevel, guarded: list[Level]) -> Level | None:
    """One of them, beside this one, that the same backend serves."""
    for level in guarded:
        other = site.passing.get(id(level))
        same = other is None or (other.host, other.port) == (place.host, place.port)
        if level is not place.place and same:
            return level
    return None


def _prefix(level: Level) -> bool:
    return level.modifier in ("", "=", "^~") and "/." not in level.path


def _only_websockets(site: Site, place: PassLevel, line: Directive) -> list[Edit]:
    """The map that is used made strict, or another one."""
    name = line.words[1][1:].strip("{}").lower()
    table = site.maps.get(name) if line.words[1].startswith("$") else None
    if table is not None and table.words[0] == "$http_upgrade":
        default = [each for each in table.block or () if each.name.text == "default"]
        empty = [each for each in table.block or () if each.name.text == ""]
        if len(table.block or ()) <= 2 and default and len(empty) < 2:
            return [renamed(default[0], "websocket"), *(renamed(each, "default") for each in empty)]
    value, edits = connection_for(site, place)
    return [*edits, replaced(line.args[1], value)] if value != '"upgrade"' else []


def keepalive(site: Site) -> Iterator[Finding]:
    """Find a group that keeps connections while every request says that they end."""
    seen: set[int] = set()
    for place in site.passes:
        group = place.group
        kept = [] if group is None else [each for each in group.own("keepalive") if each.words[:1] != ("0",)]
        if group is None or not kept or place.automatic:
            continue
        lines = place.headers("connection")
        sent = place.sends("connection", ORDINARY).lower()
        if "close" not in sent:
            continue
        line = lines[-1]
        name = line.words[1][1:].strip("{}").lower()
        table = site.maps.get(name) if line.words[1].startswith("$") else None
        closing = [each for each in (table.block or () if table else ()) if each.words[:1] == ("close",)]
        if id(table or line) in seen:
            continue
        seen.add(id(table or line))
        at = closing[0] if closing else line
        word = closing[0].args[0] if closing else line.args[1]
        yield Finding(
            "keepalive-defeated",
            WARNING,
            f'upstream "{group.name}" keeps connections open, but ordinary requests at {place.shown} '
            'are sent with "Connection: close"',
            at.span,
            label="a new connection for every request",
            advice="write '' in place of close: then nothing is said of the connection, and it is kept",
            related=(Related(kept[0].span, "connections are to be kept"),),
            fix=Fix("say nothing of the connection", (replaced(word, "''"),)),
        )


def subrequests(site: Site) -> Iterator[Finding]:
    """Find an auth_request that asks with the headers of the handshake. Penstock takes the client's own out of the
    question."""
    known = HANDSHAKE if site.target.nginx else UNSAID
    asking: dict[int, tuple[Level, set[int]]] = {}
    for level, location in site.checks:
        asking.setdefault(id(location), (location, set()))[1].add(id(level))
    for location, levels in asking.values():
        asked = site.passing.get(id(location))
        if asked is None:
            continue
        sent = asked.sends("upgrade", known), asked.sends("connection", known)
        protected = _protected(site, location, levels)
        if protected is None or (not sent[0] and "upgrade" not in sent[1].lower()):
            continue
        lines = asked.headers("upgrade") or asked.headers("connection")
        yield Finding(
            "auth-request-upgrade",
            WARNING,
            f"location {location.name} asks the server behind auth_request with the Upgrade of the handshake",
            lines[-1].span,
            label="it answers 400, or 101, and nobody gets in",
            advice='set in that location: proxy_set_header Upgrade ""; proxy_set_header Connection "";',
            related=(Related(protected.directive.span, "the WebSockets that are asked about"),),
            fix=Fix(
                "ask without the headers of the handshake",
                tuple(with_headers(location, [("Upgrade", '""'), ("Connection", '""')])),
            ),
        )


def _protected(site: Site, location: Level, levels: set[int]) -> PassLevel | None:
    """A place that lets WebSockets through, in one of these levels."""
    for place in site.passes:
        inside = any(id(level) in levels for level in place.level.outwards())
        if inside and place.level is not location and place.passes_websockets:
            return place
    return None


RULES = (
    Rule("connection-literal", WARNING, "ordinary requests are sent with Connection: upgrade", literal),
    Rule("h2c-upgrade", WARNING, "a client may upgrade to h2c and go around access rules", cleartext_http2),
    Rule("keepalive-defeated", WARNING, "connections to backends are kept, and closed by every request", keepalive),
    Rule("auth-request-upgrade", WARNING, "auth_request asks with the headers of a handshake", subrequests),
)
