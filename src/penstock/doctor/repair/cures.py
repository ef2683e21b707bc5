"""What several rules prescribe: headers, a timeout, a version, a map."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.config.errors import suggest
from penstock.config.tree import Directive
from penstock.doctor.finding import Edit
from penstock.doctor.repair.edits import after, before, behind_own, quoted, replaced, unit
from penstock.doctor.site.level import Level
from penstock.doctor.site.maps import CLEARTEXT_HTTP2, HANDSHAKE, ORDINARY, Values, asks
from penstock.doctor.site.site import PassLevel, Site

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


def with_http_1_1(place: PassLevel) -> list[Edit]:
    """Make the edits that ask for HTTP/1.1, said so that every version of nginx does it."""
    found = place.level.find("proxy_http_version")
    if found is not None:
        return [replaced(found.args[0], "1.1")] if found.words[:1] == ("1.0",) else []
    edit = behind_own(place.level, ["proxy_http_version 1.1;"], "proxy_pass")
    return [] if edit is None else [edit]


def connection_for(site: Site, place: PassLevel) -> tuple[str, list[Edit]]:
    """Return a value for Connection that asks for an upgrade only where the client does, and the map it may need.

    A map that is there is taken, and mended where it does not do that yet; so is the variable of a map in another
    file, in a piece that uses one. A file without a server has no place for a map, and gets the plain word.
    """
    for name in site.maps:
        value = f"${name}"
        if _suits(site, place, value):
            return value, []
    for name, table in site.maps.items():
        edits = mended(site, place, name, table)
        if edits is not None:
            return f"${name}", edits
    if site.piece and (used := _used_elsewhere(site)):
        return used, []
    server = next(iter(site.servers), None)
    if server is None or server.directive is None:
        return '"upgrade"', []
    name = "$connection_upgrade" if "connection_upgrade" not in site.maps else "$connection_websocket"
    return name, [before(server.directive, [line.format(name=name, unit=unit(server)) for line in MAP])]


def mended(site: Site, place: PassLevel, name: str, table: Directive) -> list[Edit] | None:
    """Mend a map for Connection that is nearly right; None for a map that is something else."""
    value = f"${name}"
    lines = [each for each in table.block or () if len(each.args) == 1]
    if any(each.span.source is not table.span.source for each in lines):
        return None
    if Values(site.maps, HANDSHAKE).of(value, place.level).lower() == "upgrade" and asks(table.words[0]):
        # Only ordinary requests are not thought of: they say nothing.
        given = [each for each in lines if not each.name.text]
        if given:
            return [replaced(given[0].args[0], "''")]
        edit = after(lines[-1], ["''      '';"]) if lines else None
        return None if edit is None or table.words[0].strip("${}").lower() != "http_upgrade" else [edit]
    if name not in ("connection_upgrade", "connection_websocket"):
        return None
    edits: list[Edit] = []
    if not asks(table.words[0]):
        if suggest(table.words[0].strip("${}"), ["http_upgrade"]) is None:
            return None
        edits.append(replaced(table.args[0], "$http_upgrade"))
    elif table.words[0].strip("${}").lower() != "http_upgrade":
        return None
    wanted = {"default": "upgrade", "websocket": "upgrade", "": "''"}
    if not {each.name.text for each in lines} <= set(wanted) or "default" not in {each.name.text for each in lines}:
        return None
    right = {"default": ("upgrade",), "websocket": ("upgrade",), "": ("", "close", "keep-alive")}
    for each in lines:
        if each.words[0].lower() not in right[each.name.text]:
            edits.append(replaced(each.args[0], wanted[each.name.text]))
    return edits or None


def _used_elsewhere(site: Site) -> str:
    """The variable that this piece says Connection with, and another file sets; "" if there is none."""
    for level in site.main.walk():
        for each in level.own("proxy_set_header"):
            if len(each.args) != 2 or each.words[0].lower() != "connection":
                continue
            name = each.words[1].strip("${}").lower()
            if not each.words[1].startswith("$") or not name.isidentifier() or name.startswith("http_"):
                continue
            if name not in site.maps and name not in _set_here(site):
                return each.words[1]
    return ""


def _set_here(site: Site) -> set[str]:
    given = [each for level in site.main.walk() for each in level.own("set") if each.args]
    return {each.words[0].removeprefix("$").lower() for each in given}


def _suits(site: Site, place: PassLevel, value: str) -> bool:
    def evaluated(known: dict[str, str]) -> str:
        return Values(site.maps, known).of(value, place.level).lower()

    return (
        evaluated(HANDSHAKE) == "upgrade"
        and evaluated(ORDINARY) in ("", "close", "keep-alive")
        and "\0" not in evaluated(CLEARTEXT_HTTP2)
    )


def websockets_through(site: Site, place: PassLevel, level: Level) -> list[Edit]:
    """Make the edits for everything a location needs for WebSockets."""
    value, edits = connection_for(site, place)
    edits += with_headers(level, [("Upgrade", "$http_upgrade"), ("Connection", value)])
    version = with_http_1_1(place)
    if version and edits and version[0].start == edits[-1].start and version[0].source is edits[-1].source:
        last = edits.pop()  # both go behind the same line
        version = [Edit(last.source, last.start, last.end, version[0].text + last.text)]
    return edits + version


def with_directive(level: Level, line: str) -> list[Edit]:
    """Make the edits that add a directive that a level does not have yet."""
    edit = behind_own(level, [line], "proxy_set_header", "proxy_http_version", "proxy_pass")
    return [] if edit is None else [edit]
