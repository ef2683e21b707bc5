"""Handshakes that fail for reasons no look at single lines shows: each is tried, as `penstock explain` would.

What the rules of `upgrade.py` find by reading is left to them: they say more of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from penstock.config.errors import suggest
from penstock.config.source import Span
from penstock.config.tree import Directive
from penstock.doctor.attempt import UNSET, TriedHandshake
from penstock.doctor.finding import WARNING, Edit, Finding, Fix
from penstock.doctor.handshake import Flaw, flaws
from penstock.doctor.repair.cures import mended
from penstock.doctor.repair.edits import removed, replaced
from penstock.doctor.rules.quotes import typographic
from penstock.doctor.site.level import Level
from penstock.doctor.site.site import PassLevel, Site
from penstock.doctor.site.targets import own_target, targets
from penstock.doctor.site.traffic import carries_sockets, fixed_path

_BY_RULE = frozenset(("access", "realip", "ssl_verify", "websocket_origins", "websocket_protocols", "referer"))
"""Modules that let some clients in and not others: one that they turn away shows nothing."""
_OF_HANDSHAKES = re.compile(
    r"\$\{?(http_upgrade|http_connection|request_method|server_protocol|http_sec_websocket_\w+)\b", re.IGNORECASE
)
_EXACT = re.compile(r"\$\{?http_(?:connection\}? !?= .*(?i:upgrade)|upgrade\}? !?= [\"']?[a-z]*[A-Z])")
_OF = {
    Flaw.METHOD: "",
    Flaw.VERSION: "",
    Flaw.UPGRADE: "upgrade",
    Flaw.CONNECTION: "connection",
    Flaw.KEY: "sec-websocket-key",
    Flaw.WS_VERSION: "sec-websocket-version",
    Flaw.BODY: "content-length",
    Flaw.DOWN: "",
    Flaw.HIDDEN_UPGRADE: "",
    Flaw.HIDDEN_ACCEPT: "",
}
"""The header that each flaw is about."""
_LINES = {
    Flaw.BODY: (
        "proxy_set_header",
        ("content-length", "transfer-encoding"),
        "take it out: a handshake has no body, and a backend would wait for one",
    ),
    Flaw.DOWN: ("proxy_set_header", ("",), "take down away from one of its servers, or add one"),
    Flaw.HIDDEN_UPGRADE: ("proxy_hide_header", ("upgrade",), "take it out: a browser refuses a 101 without Upgrade"),
    Flaw.HIDDEN_ACCEPT: (
        "proxy_hide_header",
        ("sec-websocket-accept",),
        "take it out: a browser refuses a 101 without Sec-WebSocket-Accept",
    ),
}
"""The lines that make a flaw: their directive, what they begin with, and what to do."""
_CLIENT = frozenset(
    (
        "host", "scheme", "https", "server_port", "server_addr", "remote_addr", "remote_user", "binary_remote_addr",
        "invalid_referer", "request_id", "time_iso8601", "msec", "time_local", "is_args", "args", "query_string",
    )
)  # fmt: skip
_CLIENT_FAMILIES = ("http_", "cookie_", "arg_", "ssl_", "geoip", "proxy_protocol", "realip_", "jwt_", "limit_")
"""Variables that are one for this client, and another for that one."""
_DEEPEST = 5
_VARIABLE = re.compile(r"\$\{?(\w+)", re.ASCII)


def handshakes(site: Site) -> Iterator[Finding]:
    """Try a handshake in each location that looks like one for WebSockets."""
    seen: set[int] = set()
    for place in site.passes:
        if id(place.place) in seen or not to_try(site, place):
            continue
        seen.add(id(place.place))
        missed = list(_missed(site, place))
        yield from missed
        tried = None if missed else tried_at(site, place.place)
        if tried is not None:
            yield from judged(place, tried)


def to_try(site: Site, place: PassLevel) -> bool:
    """Tell whether a location looks like one for WebSockets, in which a handshake can be tried."""
    if site.rehearse is None or place.place.directive is None:
        return False
    if place.off or place.torn or id(place.place) in site.private:
        return False
    if any(typographic(each) for each in place.level.every("proxy_set_header")):
        return False
    if not place.passes_websockets or (place.version == "1.0" and not place.automatic):
        return False
    asked = place.automatic or bool(place.headers("upgrade"))
    return asked or carries_sockets(place.place) is not None


def tried_at(site: Site, location: Level) -> TriedHandshake | None:
    """Try the targets of a location until a request comes to it."""
    assert site.rehearse is not None and location.span is not None
    over = partial(who_asks, site)
    for target in targets(location):
        tried = site.rehearse(location.span, target, over)
        if tried is not None and (tried.visited or _stopped(tried)):
            return tried
    return None


def who_asks(site: Site, condition: str) -> bool:
    """Tell whether a condition is about who asks, and from where, not about handshakes: it may hold for one and not for
    another."""
    return any(_of_client(site, name.lower(), 0) for name in _VARIABLE.findall(condition))


def _of_client(site: Site, name: str, depth: int) -> bool:
    table = site.maps.get(name)
    if table is not None and depth < _DEEPEST:
        return any(_of_client(site, each.lower(), depth + 1) for each in _VARIABLE.findall(table.words[0]))
    return not _OF_HANDSHAKES.fullmatch(f"${name}") and (name in _CLIENT or name.startswith(_CLIENT_FAMILIES))


def _stopped(tried: TriedHandshake) -> bool:
    """Whether an `if` of the server answers before there is a location."""
    steps = tried.told.steps
    return not any(each.phase == "search" for each in steps) and any(each.text.endswith(": holds") for each in steps)


def _missed(site: Site, place: PassLevel) -> Iterator[Finding]:
    """A location for a library that asks for its path with a slash at the end, and does not come here so."""
    assert site.rehearse is not None and place.place.span is not None
    target, path = own_target(place.place), fixed_path(place.place)
    tried = None if target is None else site.rehearse(place.place.span, target, partial(who_asks, site))
    if tried is None or target is None or path is None or tried.visited or tried.told.websocket is None:
        return
    if tried.told.websocket.survives:
        return
    yield Finding(
        "handshake-fails",
        WARNING,
        f'{path.strip("/")} asks for "{target.partition("?")[0]}", which does not come to {place.shown}',
        place.place.span,
        label=f"handshakes end elsewhere: {tried.told.answer or tried.told.websocket.why[0]}",
        advice=f"write: location {target.partition('?')[0]}",
    )


def judged(place: PassLevel, tried: TriedHandshake) -> Iterator[Finding]:
    """Say what is wrong with a handshake that ended at a `proxy_pass`, or before it."""
    told = tried.told
    assert told.websocket is not None
    cut = list(_cut(place, tried)) if told.backend is not None and not flaws(told.backend) else []
    if told.websocket.survives or cut:
        yield from cut
        return
    if told.answer is not None or told.backend is None:
        if _sure(tried):
            yield _answered(place, tried)
        return
    wrong = flaws(told.backend) if told.backend.module == "proxy" else []
    unset = {each.name.lower() for each in told.backend.headers if UNSET in each.value}
    wrong = [each for each in wrong if _OF[each] not in unset]
    if not wrong:
        return
    at, advice, fix = _cause(place, tried, wrong[0])
    yield Finding(
        "handshake-fails",
        WARNING,
        f"WebSockets fail at {place.shown}: {' and '.join(each.value for each in wrong)}",
        at,
        label="tried with the handshake of a browser",
        advice=advice,
        fix=fix,
    )


def _sure(tried: TriedHandshake) -> bool:
    """Whether every handshake is answered so, not only this one."""
    if tried.decided in _BY_RULE and tried.kind != "limit_except":
        return False
    for step in tried.told.steps:
        if not step.text.endswith(": holds"):
            continue
        if _EXACT.search(step.text):
            return False  # the rule if-connection speaks of it
        names = _VARIABLE.findall(step.text)
        if not all(_OF_HANDSHAKES.fullmatch(f"${name}") for name in names):
            return False
    return not any("makes no sense" in step.text for step in tried.told.steps)


def _answered(place: PassLevel, tried: TriedHandshake) -> Finding:
    told = tried.told
    if tried.kind == "limit_except":
        found = next((each for each in place.place.below if each.kind == "limit_except"), None)
        span = place.directive.span if found is None or found.span is None else found.span
        advice = "a handshake is a GET: limit_except GET { ... }"
        label = "what is not named here is refused"
    else:
        spans = [step.span for step in told.steps if step.phase != "search" and step.span is not None]
        inside = [each for each in spans if each.file == place.directive.span.file]
        span = inside[-1] if inside else place.directive.span
        advice = "let handshakes reach the proxy_pass, or take the headers for them out"
        label = "here it is decided" if inside else ""
    return Finding(
        "handshake-fails",
        WARNING,
        f"WebSockets fail at {place.shown}: this server answers a handshake by itself, {told.answer}",
        span,
        label=label,
        advice=advice,
    )


def _cause(place: PassLevel, tried: TriedHandshake, flaw: Flaw) -> tuple[Span | None, str, Fix | None]:
    """The line that does it, what to write, and how."""
    if flaw is Flaw.METHOD and (found := place.level.find("proxy_method")) is not None:
        edit = removed(found)
        return found.span, "take it out: a handshake is a GET", _fix("leave the method as it is", edit)
    if flaw is Flaw.VERSION:
        found = place.level.find("proxy_http_version")
        return (found or place.directive).span, "set: proxy_http_version 1.1;", None
    if flaw in (Flaw.KEY, Flaw.WS_VERSION):
        name = "sec-websocket-key" if flaw is Flaw.KEY else "sec-websocket-version"
        lines = place.headers(name)
        if lines:
            return lines[-1].span, "take the line out", _fix("leave the header as it is", removed(lines[-1]))
        whole = place.level.find("proxy_pass_request_headers")
        if whole is not None:
            return whole.span, "let the client's headers through: proxy_pass_request_headers on;", _fix(
                "let the client's headers through", replaced(whole.args[0], "on") if whole.args else None
            )
        return place.directive.span, "", None
    if flaw in _LINES:
        name, first, advice = _LINES[flaw]
        lines = [each for each in place.level.every(name) if each.words[:1] and each.words[0].lower() in first]
        if lines:
            return lines[-1].span, advice, _fix("take the line out", removed(lines[-1]))
        if flaw is Flaw.BODY and (body := place.level.find("proxy_set_body")) is not None:
            return body.span, "take it out: a handshake has no body", _fix("take the line out", removed(body))
        return (place.directive if place.group is None else place.group.directive or place.directive).span, advice, None
    name, value = ("upgrade", "$http_upgrade") if flaw is Flaw.UPGRADE else ("connection", "$connection_upgrade")
    lines = place.headers(name)
    if not lines:
        return place.directive.span, f"add: proxy_set_header {name.title()} {value};", None
    return lines[-1].span, f"write: proxy_set_header {name.title()} {value};", _spelled(place, lines[-1], name)


def _spelled(place: PassLevel, line: Directive, name: str) -> Fix | None:
    """The variable that was meant, where one is near."""
    values = ["http_upgrade"] if name == "upgrade" else ["http_connection", "connection_upgrade", *place.site.maps]
    word = line.args[1]
    given = line.words[1]
    table = place.site.maps.get(given.strip("${}").lower()) if name == "connection" and given.startswith("$") else None
    if table is not None:
        edits = mended(place.site, place, given.strip("${}").lower(), table)
        return None if edits is None else Fix("let the map say it for handshakes", tuple(edits))
    meant = suggest(given[1:].strip("{}"), values) if given.startswith("$") else None
    if meant is not None and name == "connection" and meant not in ("http_connection", *place.site.maps):
        meant = None
    if name == "upgrade" and meant is None:
        meant = "http_upgrade"
    if meant is None or given.lower() == f"${meant}":
        return None
    return Fix("name the variable that is meant", (replaced(word, f"${meant}"),))


def _fix(title: str, edit: Edit | None) -> Fix | None:
    return None if edit is None else Fix(title, (edit,))


def _cut(place: PassLevel, tried: TriedHandshake) -> Iterator[Finding]:
    """A library that answers at a path of its own, and gets another one."""
    path = fixed_path(place.place)
    backend = tried.told.backend
    if path is None or backend is None or path.strip("/") in backend.uri:
        return
    yield Finding(
        "handshake-fails",
        WARNING,
        f'{path.strip("/")} is asked at "{backend.uri.partition("?")[0]}", but listens at {path}',
        place.directive.span,
        label="the location's path is cut off: 404, or a page",
        advice=f"to pass the path on: proxy_pass {place.url.removesuffix(place.uri)};"
        if place.uri
        else "to pass the path on, take the rewrite out",
        fix=Fix(
            "pass the path on", (replaced(place.directive.args[0], place.url.removesuffix(place.uri)),)
        )
        if place.uri == "/" and place.level is place.place
        else None,
    )

