"""What several rules prescribe: headers, a timeout, a version, a map."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.config.tree import Directive
from penstock.doctor.edits import before, behind_own, quoted, replaced, unit
from penstock.doctor.finding import Edit
from penstock.doctor.level import Level
from penstock.doctor.maps import CLEARTEXT_HTTP2, HANDSHAKE, ORDINARY, Values
from penstock.doctor.site import Pass, Site

MAP = (
    "map $http_upgrade {name} {{",
    "{unit}default   '';",
    "{unit}websocket upgrade;",
    "}}",
    "",
)


def with_headers(level: Level, wanted: Sequence[tuple[str, str]]) -> list[Edit]:
    """Let a level set these headers, and go on to set those it inherits now."""
    own = [each for each in level.own("proxy_set_header") if len(each.args) == 2]
    edits: list[Edit] = []
    missing: list[str] = []
    names = {name.lower() for name, _ in wanted}
    if not own:
        inherited = [each for each in level.every("proxy_set_header") if len(each.args) == 2]
        missing += [_line(each) for each in inherited if each.words[0].lower() not in names]
    for name, value in wanted:
        there = [each for each in own if each.words[0].lower() == name.lower()]
        if there:
            edits.append(replaced(there[-1].args[1], value))
        else:
            missing.append(f"proxy_set_header {name} {value};")
    if missing:
        edit = behind_own(level, missing, "proxy_set_header", "proxy_http_version", "proxy_pass")
        edits += [] if edit is None else [edit]
    return edits


def _line(directive: Directive) -> str:
    return " ".join([directive.name.text, *(quoted(each) for each in directive.words)]) + ";"


def with_http_1_1(place: Pass) -> list[Edit]:
    """HTTP/1.1, said so that every version of nginx does it."""
    found = place.level.find("proxy_http_version")
    if found is not None:
        return [replaced(found.args[0], "1.1")] if found.words[:1] == ("1.0",) else []
    edit = behind_own(place.level, ["proxy_http_version 1.1;"], "proxy_pass")
    return [] if edit is None else [edit]


def connection_for(site: Site, place: Pass) -> tuple[str, list[Edit]]:
    """A value for Connection that asks for an upgrade only where the client does, and the map it may need.

    A map that is there is taken if it lets nothing but WebSockets through; a file without a server has no place for
    one, and gets the plain word.
    """
    for name in site.maps:
        value = f"${name}"
        if _suits(site, place, value):
            return value, []
    server = next(iter(site.servers), None)
    if server is None or server.directive is None:
        return '"upgrade"', []
    name = "$connection_upgrade" if "connection_upgrade" not in site.maps else "$connection_websocket"
    return name, [before(server.directive, [line.format(name=name, unit=unit(server)) for line in MAP])]


def _suits(site: Site, place: Pass, value: str) -> bool:
    def evaluated(known: dict[str, str]) -> str:
        return Values(site.maps, known).of(value, place.level).lower()

    return (
        evaluated(HANDSHAKE) == "upgrade"
        and evaluated(ORDINARY) in ("", "close", "keep-alive")
        and "\0" not in evaluated(CLEARTEXT_HTTP2)
    )


def websockets_through(site: Site, place: Pass, level: Level) -> list[Edit]:
    """Everything a location needs for WebSockets."""
    value, edits = connection_for(site, place)
    edits += with_headers(level, [("Upgrade", "$http_upgrade"), ("Connection", value)])
    version = with_http_1_1(place)
    if version and edits and version[0].start == edits[-1].start and version[0].source is edits[-1].source:
        last = edits.pop()  # both go behind the same line
        version = [Edit(last.source, last.start, last.end, version[0].text + last.text)]
    return edits + version


def with_directive(level: Level, line: str) -> list[Edit]:
    """A directive that a level does not have yet."""
    edit = behind_own(level, [line], "proxy_set_header", "proxy_http_version", "proxy_pass")
    return [] if edit is None else [edit]
