"""The whole configuration as rules look at it: its levels, its maps and upstreams, and every place that proxies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from penstock.config.errors import Problems
from penstock.config.lexer import statements
from penstock.config.source import Span
from penstock.config.tree import Directive
from penstock.doctor.attempt import Rehearse
from penstock.doctor.site.level import Level, levels
from penstock.doctor.site.machine import Machine
from penstock.doctor.site.maps import HANDSHAKE, UNKNOWN, Values, maps

_PATHS = "request_uri|uri|document_uri|is_args|args|query_string"
_NAME = (
    rf"\$(?!(?:{_PATHS}|[0-9])\b)\w+|\$\{{(?!(?:{_PATHS}|[0-9])\}})\w+\}}"
    r"|(?<=//)\$(?:[0-9]|\{[0-9]\})|\$(?:[0-9](?=[.:-])|\{[0-9]\}(?=[\w.:-]))"
)
_URL = re.compile(
    rf"(?P<scheme>[a-zA-Z]+)://(?P<host>\[[^]]*\]|unix:[^:]*|(?:[^/:?$]|{_NAME})*)"
    rf"(?::(?P<port>[0-9]+|(?:{_NAME})|))?(?P<uri>.*)",
    re.DOTALL | re.ASCII,
)
"""A variable may be a host or a port; those that begin with a slash are where the path begins."""
_GROUP = re.compile(r"[\w.-]+", re.ASCII)
_SINCE_1_1 = (1, 29, 7)
"""The nginx that speaks HTTP/1.1 to backends, and keeps connections to them, without being told."""
LIVELY = ("backup", "down")


@dataclass(frozen=True, slots=True)
class CheckedProgram:
    """Who will run the configuration: Penstock, or an nginx whose `version` may be unknown."""

    nginx: bool = False
    version: tuple[int, ...] | None = None

    @property
    def old(self) -> bool:
        """Return whether backends may be spoken to over HTTP/1.0 by default."""
        return self.nginx and (self.version is None or self.version < _SINCE_1_1)


class PassLevel:
    """A level with a `proxy_pass` of its own."""

    __slots__ = ("_sent", "directive", "host", "level", "port", "scheme", "site", "uri", "url")

    def __init__(self, site: Site, level: Level, directive: Directive) -> None:
        self._sent: dict[tuple[str, int], str] = {}
        self.site = site
        self.level = level
        self.directive = directive
        self.url = directive.words[0] if directive.args else ""
        match = _URL.fullmatch(self.url)
        self.scheme = match["scheme"].lower() if match else ""
        self.host = match["host"] if match else ""
        self.port = (match["port"] or "") if match else ""
        self.uri = match["uri"] if match else ""

    @property
    def place(self) -> Level:
        """Return the location it is in; of an `if`, the one around that."""
        return self.level.enclosing("location") or self.level

    @property
    def shown(self) -> str:
        """Name it as `location /chat/`."""
        place = self.place
        return f"location {place.name}" if place.kind == "location" else place.kind

    def headers(self, name: str) -> list[Directive]:
        """Return the `proxy_set_header` lines in force for a header (lower case)."""
        given = self.level.every("proxy_set_header")
        return [each for each in given if len(each.args) == 2 and each.words[0].lower() == name]

    def sends(self, name: str, known: dict[str, str]) -> str:
        """Return what a header will be for a kind of request (one of those in `maps`); "" where it is not sent."""
        sent = self._sent.get((name, id(known)))
        if sent is None:
            values = Values(self.site.maps, known)
            found = [values.of(each.words[1], self.level) for each in self.headers(name)]
            sent = self._sent[name, id(known)] = ", ".join(value for value in found if value)
        return sent

    @property
    def passes_upgrade(self) -> bool:
        """Return whether the backend gets an Upgrade header with a handshake."""
        return self.automatic or bool(self.sends("upgrade", HANDSHAKE))

    @property
    def passes_websockets(self) -> bool:
        """Return whether a handshake reaches the backend whole."""
        if self.automatic or self.off:
            return self.automatic
        connection = self.sends("connection", HANDSHAKE).lower()
        return self.passes_upgrade and ("upgrade" in connection or UNKNOWN in connection)

    @property
    def automatic(self) -> bool:
        """Return whether `websocket auto` does it all."""
        found = self.level.find("websocket")
        return found is not None and found.words[:1] != ("off",)

    @property
    def off(self) -> bool:
        """Return whether handshakes are refused on purpose."""
        found = self.level.find("websocket")
        return found is not None and found.words[:1] == ("off",)

    @property
    def unknown(self) -> bool:
        """Return whether nothing can be said of handshakes here: they are not wanted, or a file that is included could
        not be read."""
        spans = [level.span for level in self.level.outwards() if level.span is not None]
        return self.off or any(span.start in self.site.torn for span in spans)

    @property
    def torn(self) -> bool:
        """Return whether a file could not be read that may hold headers for this place, or what is done with them."""
        giving = self.level.giving("proxy_set_header")
        for level in self.level.outwards():
            if level.span is not None and level.span.start in self.site.torn:
                return True
            if level is giving and level.kind != "if":
                return False
        return False

    @property
    def group(self) -> Level | None:
        """Return the `upstream` block it names."""
        return self.site.upstreams.get(self.host.lower())

    @property
    def version(self) -> str:
        """Return the version of HTTP spoken to the backend."""
        found = self.level.find("proxy_http_version")
        if found is None:
            return "1.0" if self.site.target.old else "1.1"
        return found.words[0] if found.args else ""


class Site:
    """A configuration, who will run it, and where."""

    def __init__(
        self,
        tree: tuple[Directive, ...],
        target: CheckedProgram,
        machine: Machine,
        holes: Iterable[Span] = (),
        *,
        piece: bool = False,
        rehearse: Rehearse | None = None,
    ) -> None:
        self.tree = tree
        self.piece = piece
        """Whether other files have what is not found here."""
        self.rehearse = rehearse
        self.torn = {start for hole in holes for start in around(hole)}
        """Where the blocks begin in which something could not be included, in whatever file."""
        self.target = target
        self.machine = machine
        self.main = levels(tree)
        self.maps = maps(self.main)

    @cached_property
    def passes(self) -> list[PassLevel]:
        """Return every `proxy_pass`, in the order of the file."""
        return [
            PassLevel(self, level, each)
            for level in self.main.walk()
            if level.kind in ("location", "if", "limit_except")
            for each in level.own("proxy_pass")[:1]
        ]

    @cached_property
    def upstreams(self) -> dict[str, Level]:
        """Return the `upstream` blocks by their names in lower case."""
        found: dict[str, Level] = {}
        for level in self.main.walk():
            if level.kind == "upstream" and _GROUP.fullmatch(level.name):
                found.setdefault(level.name.lower(), level)
        return found

    @cached_property
    def passing(self) -> dict[int, PassLevel]:
        """Return every `proxy_pass` by the identity of its level."""
        return {id(each.level): each for each in self.passes}

    @cached_property
    def upgrading(self) -> set[int]:
        """Return the identities of the servers in which some location passes Upgrade on."""
        return {id(each.level.enclosing("server")) for each in self.passes if each.passes_upgrade}

    @cached_property
    def checks(self) -> list[tuple[Level, Level]]:
        """Return levels with an `auth_request`, and the location of the same server that answers it."""
        return [pair for server in self.servers for pair in _checks(server)]

    @cached_property
    def private(self) -> set[int]:
        """Return the identities of locations that this server itself sends requests to."""
        inside = {id(level) for level in self.main.walk() if level.kind == "location" and level.own("internal")}
        return inside | {id(location) for _, location in self.checks}

    @cached_property
    def servers(self) -> list[Level]:
        return [level for level in self.main.walk() if level.kind == "server"]


def members(group: Level) -> list[Directive]:
    """Return the servers of an upstream that take requests when all is well."""
    return [each for each in group.own("server") if each.args and not set(each.words) & set(LIVELY)]


def around(place: Span) -> list[int]:
    """Return where the blocks begin that a place is in, within its own file."""
    opened: list[int] = []
    for statement in statements(place.source, Problems()):
        if statement.at >= place.start:
            break
        if statement.end == "{":
            opened.append(statement.words[0].span.start if statement.words else statement.at)
        elif statement.end == "}" and opened:
            opened.pop()
    return opened


def _checks(server: Level) -> Iterator[tuple[Level, Level]]:
    levels = list(server.walk())
    givers = [each for each in [server.outer, *levels] if each is not None and each.own("auth_request")]
    if not givers:
        return
    locations = [level for level in levels if level.kind == "location"]
    exact = {each.path: each for each in reversed(locations) if each.modifier == "="}
    prefixes = sorted((each for each in locations if each.modifier in ("", "^~")), key=lambda each: -len(each.path))
    for level in givers:
        for each in level.own("auth_request"):
            path = each.words[0].partition("?")[0] if each.args else "off"
            found = exact.get(path) or next((one for one in prefixes if path.startswith(one.path)), None)
            if path != "off" and found is not None:
                yield level, found
