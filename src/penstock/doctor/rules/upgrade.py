"""Handshakes that do not reach the backend: no Upgrade, an Upgrade lost on the way, an Upgrade without Connection."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.doctor.finding import NOTE, WARNING, Edit, Finding, Fix, Related
from penstock.doctor.repair.cures import websockets_through, with_headers, with_http_1_1
from penstock.doctor.repair.edits import quoted
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.maps import HANDSHAKE
from penstock.doctor.site.site import PassLevel, Site
from penstock.doctor.site.traffic import asks_for_upgrade, backend_sign, carries_sockets, chosen_by_upgrade

_ADVICE = (
    "add: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection $connection_upgrade; (with the map for it)"
)


def missing(site: Site) -> Iterator[Finding]:
    """Find where nothing that asks for an upgrade reaches the backend."""
    for place in site.passes:
        if place.passes_upgrade or place.unknown or outer_upgrade(place) is not None or _private(site, place):
            continue
        sign = carries_sockets(place.place) or next((f"if {each}" for each in _asked(place)), None)
        half = "upgrade" in place.sends("connection", HANDSHAKE).lower()
        if half:
            message = "Connection asks for an upgrade, but no Upgrade header says to what"
        elif sign is not None:
            message = f"WebSockets fail at {place.shown}: the Upgrade header of a handshake is not passed on"
        else:
            why = backend_sign(place) if _nowhere(site, place) else None
            if why is None or place.place.path != "/":
                continue
            message = f"WebSockets would fail at {place.shown}: no Upgrade header is passed on"
        yield Finding(
            "upgrade-missing",
            WARNING if half or sign is not None else NOTE,
            message,
            place.directive.span,
            label=f'"{sign}" speaks of WebSockets' if sign else "" if half else why or "",
            advice=_ADVICE,
            fix=Fix("pass Upgrade and Connection on", tuple(websockets_through(site, place, place.level))),
        )


def _asked(place: PassLevel) -> Iterator[str]:
    """What says that handshakes come here: an `if` around it, or the map that names the backend."""
    if asks_for_upgrade(place.level):
        yield place.level.name
    if chosen_by_upgrade(place):
        yield f"map $http_upgrade {place.host}"


def _nowhere(site: Site, place: PassLevel) -> bool:
    """Whether no location of this server lets WebSockets through: then nobody may have thought of them."""
    return id(place.level.enclosing("server")) not in site.upgrading


def _private(site: Site, place: PassLevel) -> bool:
    """Whether only this server itself sends requests here, as for auth_request."""
    return id(place.place) in site.private


def outer_upgrade(place: PassLevel) -> Level | None:
    """Return the level whose Upgrade is lost because a level below has headers of its own."""
    giving = place.level.giving("proxy_set_header")
    if giving is None or giving.outer is None:
        return None
    if any(each.words[0].lower() in ("upgrade", "connection") for each in giving.own("proxy_set_header") if each.args):
        return None
    for level in giving.outer.outwards():
        own = [each for each in level.own("proxy_set_header") if len(each.args) == 2]
        if any(each.words[0].lower() == "upgrade" and each.words[1] for each in own):
            return level
    return None


def lost(site: Site) -> Iterator[Finding]:
    """Find a proxy_set_header that takes the place of all those around it."""
    seen: set[int] = set()
    for place in site.passes:
        outer = outer_upgrade(place)
        giving = place.level.giving("proxy_set_header")
        if outer is None or giving is None or id(giving) in seen or place.unknown or _private(site, place):
            continue
        seen.add(id(giving))
        above = [each for each in outer.own("proxy_set_header") if len(each.args) == 2]
        dropped = [each.words for each in above if each.words[0].lower() in ("upgrade", "connection")]
        wanted = [(name, quoted(value)) for name, value in dropped]
        upgrade = next(each for each in above if each.words[0].lower() == "upgrade")
        own = giving.own("proxy_set_header")[0]
        yield Finding(
            "upgrade-lost",
            WARNING,
            f"WebSockets fail at {place.shown}: this proxy_set_header puts aside those of the level around it, "
            "Upgrade among them",
            own.span,
            label="headers are inherited only where a level sets none of its own",
            advice='repeat Upgrade and Connection here, or leave them out on purpose: proxy_set_header Connection "";',
            related=(Related(upgrade.span, "the Upgrade that is lost"),),
            fix=Fix("repeat the headers of the level around", tuple(with_headers(giving, wanted))),
        )


def no_connection(site: Site) -> Iterator[Finding]:
    """Find an Upgrade without a Connection that names it (RFC 9110, 7.8)."""
    for place in site.passes:
        if place.passes_websockets or not place.passes_upgrade or place.unknown or _private(site, place):
            continue
        given = place.headers("connection")
        upgrade = place.headers("upgrade")[-1]
        sent = place.sends("connection", HANDSHAKE)
        yield Finding(
            "connection-missing",
            WARNING,
            f"WebSockets fail at {place.shown}: Upgrade is passed on, but Connection "
            + (f'is "{sent}" for a handshake' if sent else "is not"),
            given[-1].span if given else upgrade.span,
            label="Connection has to name Upgrade",
            advice="add: proxy_set_header Connection $connection_upgrade; (with the map for it)",
            fix=Fix("let Connection name Upgrade", tuple(websockets_through(site, place, place.level))),
        )


def over_1_0(site: Site) -> Iterator[Finding]:
    """Find an Upgrade that goes out with HTTP/1.0, which has none."""
    for place in site.passes:
        if place.automatic or place.off or not place.sends("upgrade", HANDSHAKE) or place.version != "1.0":
            continue
        found = place.level.find("proxy_http_version")
        edits: list[Edit] = with_http_1_1(place)
        said = "" if found is not None else ", which nginx before 1.29.7 speaks unless told otherwise"
        yield Finding(
            "upgrade-http-1.0",
            WARNING,
            f"WebSockets fail at {place.shown}: the backend is spoken to over HTTP/1.0{said}",
            (found or place.directive).span,
            label="an upgrade needs HTTP/1.1",
            advice="set: proxy_http_version 1.1;",
            fix=Fix("speak HTTP/1.1 to the backend", tuple(edits)),
        )


RULES = (
    Rule("upgrade-missing", WARNING, "the Upgrade header of a handshake is not passed on", missing),
    Rule("upgrade-lost", WARNING, "a proxy_set_header puts aside the Upgrade of the level around it", lost),
    Rule("connection-missing", WARNING, "Upgrade is passed on without a Connection that names it", no_connection),
    Rule("upgrade-http-1.0", WARNING, "an upgrade is asked for over HTTP/1.0", over_1_0),
)
