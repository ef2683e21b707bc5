"""What the backend compares: the Host it is told, and the Origin of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.doctor.finding import NOTE, WARNING, Edit, Finding, Fix
from penstock.doctor.repair.cures import with_headers
from penstock.doctor.repair.edits import removed, replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.maps import HANDSHAKE
from penstock.doctor.site.site import PassLevel, Site

_WITH_PORT = re.compile(r"\$\{?(host|server_name|hostname)\}?:(\$\{?(server_port|proxy_port)\}?|\d+)", re.IGNORECASE)


def _nearby(place: PassLevel) -> bool:
    """Whether the backend is one of ours, and not a site of its own with a name that has to be kept."""
    if place.group is not None:
        return True
    host = place.host.strip("[]")
    return "$" not in host and ("." not in host or host.replace(".", "").isdigit() or host.startswith("unix:"))


def missing(site: Site) -> Iterator[Finding]:
    """Find a backend that compares Origin with its own name, as it gets no Host of the client's."""
    for place in site.passes:
        if not place.passes_websockets or place.headers("host") or place.headers("origin"):
            continue
        if place.unknown or not _nearby(place):
            continue
        name = place.host if place.group is not None else f"{place.host}:{place.port}" if place.port else place.host
        yield Finding(
            "host-missing",
            NOTE,
            f'the backend of {place.shown} is told "Host: {name}", not the name that the browser knows',
            place.directive.span,
            label="servers that compare Origin with Host answer 403",
            advice="add: proxy_set_header Host $http_host;",
            fix=Fix("pass the client's Host on", tuple(with_headers(place.level, [("Host", "$http_host")]))),
        )


def with_port(site: Site) -> Iterator[Finding]:
    """Find a Host with the port this server listens on, which is not always the one that the browser sees."""
    seen: set[int] = set()
    for place in site.passes:
        for line in place.headers("host"):
            if not _WITH_PORT.fullmatch(line.words[1]) or id(line) in seen or not place.passes_websockets:
                continue
            seen.add(id(line))
            yield Finding(
                "host-port",
                WARNING,
                f'the backend is told "Host: {line.words[1]}", with a port that the browser may not have asked for',
                line.span,
                label="behind TLS elsewhere or a mapped port it differs from Origin: 403",
                advice="pass on what the client sent: proxy_set_header Host $http_host;",
                fix=Fix("pass the client's Host on", (replaced(line.args[1], "$http_host"),)),
            )


def removed_origin(site: Site) -> Iterator[Finding]:
    """Find a backend that is not told where a page comes from: it lets every page in (cross-site WebSocket hijacking).
    """
    seen: set[int] = set()
    for place in site.passes:
        for line in place.headers("origin"):
            value = line.words[1]
            if "$http_origin" in value or id(line) in seen or not place.passes_websockets:
                continue
            seen.add(id(line))
            what = "is taken away" if not value else f'is always "{value}"'
            edit = removed(line)
            edits: list[Edit] = [] if edit is None else [edit]
            if not place.sends("host", HANDSHAKE):
                edits += with_headers(place.level, [("Host", "$http_host")])
            yield Finding(
                "origin-removed",
                WARNING,
                f"Origin {what} at {place.shown}, so the backend can not tell its own pages from others",
                line.span,
                label="any page may open WebSockets here with the cookies of whoever looks at it",
                advice="take the line out, and let Host be the client's: proxy_set_header Host $http_host;",
                fix=Fix("leave Origin as it is", tuple(edits)),
            )


RULES = (
    Rule("host-missing", NOTE, "the backend is not told the host name that the client asked for", missing),
    Rule("host-port", WARNING, "Host is made of a name and the port of this server", with_port),
    Rule("origin-removed", WARNING, "the backend is not told where a page comes from", removed_origin),
)
