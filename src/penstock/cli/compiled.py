"""`-T --compiled`: which way requests take through each location, and the functions that were generated for them.

All of it is Python, to be read: what is no function is a comment. Of a configuration it has only what `-T` shows too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.config.addresses import address_text
from penstock.config.source import Span, shown
from penstock.modules.logs.log import AccessLogs
from penstock.modules.release import pieces
from penstock.observe.files import LogFile
from penstock.observe.formats import Format
from penstock.plan.location import Listen, Location, Server
from penstock.plan.plan import Plan
from penstock.server.straight.obstacles import named, obstacles, of_address, passing_of
from penstock.server.straight.way import Way, is_on, way_through

TITLE = """\
# compiled: the way of requests through each location; what is no function is a comment
#
# In a function that writes the head of a backend's request, valueN and host_of ask for what stands behind them, skip
# are the client's headers that are not passed on, and render writes heads that are remembered, marked by mark.
# In one that writes a line of a log, getN asks for its variable, missing stands for one without a value, and escape is
# by the escape= of log_format."""
OFF = "# PENSTOCK_STRAIGHT=off is set here: as long as it is, no request goes straight"
STRAIGHT = "straight, for a GET or a HEAD without a body"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


def compiled_text(plan: Plan) -> str:
    """Write all that was compiled from a configuration, server by server, then the formats of its logs."""
    dump = _Dump()
    lines = [TITLE] if is_on() else [TITLE, OFF]
    listens: dict[Server, list[Listen]] = {each: [] for each in plan.servers}
    for listen in plan.listens:
        for each in listen.servers:
            if each in listens:
                listens[each].append(listen)
    server: Server | None = None
    for piece in pieces(plan):
        if isinstance(piece, Server):
            server = piece if piece in listens else None
            if server is not None:
                lines += _server(server, listens[server])
        elif server is not None and piece is not server.root:
            lines += dump.location(server, piece)
    for form, name in dump.formats.items():
        lines += ["", "# a line of an access log", _ascii(form.source(name))]
    return "\n".join(lines) + "\n"


class _Dump:
    """What has been written so far: functions that are alike are written once."""

    def __init__(self) -> None:
        self.formats: dict[Format, str] = {}
        self._heads: dict[tuple[str, ...], str] = {}

    def location(self, server: Server, location: Location) -> Iterator[str]:
        """Write the way through one location."""
        name = location.name if location.span is None else location.span.text
        way = way_through(server, location)
        yield ""
        yield f"# {_line(name)}{_at(location.span)}: {'general' if way is None else STRAIGHT}"
        if way is None:
            yield from (f"#     {each.words}{_at(each.span)}" for each in obstacles(server, location))
            yield from self._logs(location)
            return
        passing = passing_of(location)
        assert passing is not None
        judges = ", ".join(dict.fromkeys(map(named, way.judges)))
        filters = ", ".join(dict.fromkeys(map(named, way.filters)))
        yield f"#     asked first    {judges or 'nobody'}"
        if way.kept is not None:
            yield f"#     kept           given out of the cache{_at(passing.origin('cache'))}, else the general way"
        yield f"#     passed to      {_line(passing.target.url)}{_at(passing.target.span)}"
        yield f"#     answer         {f'changed by {filters}' if filters else 'as it comes'}"
        yield from self._logs(location)
        if way.kept is None:
            yield from self._head(way)

    def _logs(self, location: Location) -> Iterator[str]:
        for log in location[AccessLogs].logs:
            name = self.formats.setdefault(log.format, f"line_{len(self.formats) + 1}")
            target = _line(log.target.path) if isinstance(log.target, LogFile) else "what access_log names"
            yield f"#     logged by      {name}, to {target}"

    def _head(self, way: Way) -> Iterator[str]:
        known = tuple(way.content.sources("").values())
        name = self._heads.get(known)
        if name is not None:
            yield f"#     head by        {name}, above"
            return
        name = self._heads[known] = f"head_{len(self._heads) + 1}"
        for title, source in way.content.sources(name).items():
            yield f"#     the head of {title}:"
            yield _ascii(source)


def _server(server: Server, listens: list[Listen]) -> list[str]:
    names = ", ".join(address_text(each.address) for each in listens)
    lines = ["", "", f"# server {_line(server.name)}{_at(server.span)}, at {_line(names)}"]
    for listen in listens:
        for each in of_address(listen):
            lines.append(f"#     {_line(address_text(listen.address))}: {each.words}{_at(each.span)}")
    if server.locations is None:
        lines.append("#     general: it has no location")
    return lines


def _at(span: Span | None) -> str:
    return "" if span is None else f" ({_line(span.file)}:{span.line})"


def _line(text: str) -> str:
    """A text as it may stand in a comment: nothing of it begins a line of its own."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown(text))


def _ascii(source: str) -> str:
    """A source in which every character beyond ASCII, which stands between quotes, is an escape."""
    return _BEYOND_ASCII.sub(lambda match: f"\\x{ord(match[0]):02x}", source)
