"""`penstock explain`: what becomes of a request, and why."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.cli.colour import add_colour, ink_for
from penstock.cli.parsing import USAGE_ERROR, Parser

if TYPE_CHECKING:
    from penstock.cli.reading import Read
    from penstock.config.source import Span
    from penstock.doctor.attempt import TriedHandshake
    from penstock.doctor.explanation import Explanation
    from penstock.plan.location import Server
    from penstock.process.startup.launch import Launch

_URL = re.compile(r"(?:(https?|wss?)://(\[[^]/?#]*\]|[^:/?#]*)(?::([0-9]{1,5}))?)?([/?][^#]*)?(?:#.*)?", re.IGNORECASE)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_HOST = re.compile(r"[a-z0-9][a-z0-9.-]*", re.ASCII)
HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
"""What a browser adds; the key is that of RFC 6455."""


class ExplainedRequest(NamedTuple):
    """The request that is meant. `port` is None where the URL names none, `host` "" where it is a path alone."""

    tls: bool
    host: str
    port: int | None
    target: str
    websocket: bool


def parser() -> Parser:
    from penstock.cli.reading import add_places

    made = Parser(
        "explain",
        "Show what happens to a request: which listener, server and location, and why not others; each rewrite; every\n"
        "header that the backend gets and the line it comes from; which backend, how it is chosen, which timeouts\n"
        "hold; and whether a WebSocket gets through. Nothing is sent, and no name is looked up.",
        examples=(
            ("penstock explain http://example.com/chat/", "by the configuration that would run"),
            ("penstock explain -c nginx.conf wss://example.com/ws", "a WebSocket handshake"),
            ("penstock explain -c nginx.conf /api -X POST -H 'Cookie: a=b'", "a path at the first listener"),
        ),
        exits=(
            "0  the request is explained, whatever becomes of it",
            "1  --websocket was asked for (or ws://), and it does not get through",
            "2  the arguments make no sense, or the configuration is not accepted",
        ),
    )
    add_places(made)
    made.add_argument("url", metavar="URL", help="http://, https://, ws:// or wss:// and so on, or a path alone")
    made.add_argument("-X", metavar="METHOD", dest="method", default="GET", help="the method; otherwise GET")
    made.add_argument("-H", metavar="HEADER", dest="headers", action="append", default=[], help="a 'Name: value'")
    made.add_argument("--websocket", action="store_true", help="a handshake, as with ws:// and wss://")
    made.add_argument("--from", metavar="ADDRESS", dest="client", default="127.0.0.1", help="the client's address")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    add_colour(made)
    return made


def run(arguments: Sequence[str]) -> int:
    reader = parser()
    given = reader.parse_args(list(arguments))
    asked = parse_url(given.url, given.websocket)
    if asked is None:
        reader.error(f'"{given.url}" is no URL: it may be http://host/path, ws://host/path, or /path')
    headers = []
    for text in given.headers:
        match = _HEADER.fullmatch(text)
        if match is None or "\n" in match[2] or "\r" in match[2]:
            reader.error(f"\"{text}\" is no header: write it as 'Name: value'")
        headers.append((match[1], match[2]))
    try:
        ipaddress.ip_address(given.client)
    except ValueError:
        reader.error(f'"{given.client}" is no address of a client')
    if not re.fullmatch(r"[A-Za-z_-]+", given.method):
        reader.error(f'"{given.method}" is no method')
    return _explain(given, asked, headers)


def parse_url(text: str, websocket: bool = False) -> ExplainedRequest | None:
    """Read what a URL or a path asks for; None for what is neither."""
    match = _URL.fullmatch(text)
    if match is None or not text:
        return None
    scheme = (match[1] or "http").lower()
    target = match[4] or "/"
    if target.startswith("?"):
        target = "/" + target
    port = int(match[3]) if match[3] else None
    return ExplainedRequest(
        scheme in ("https", "wss"), match[2] or "", port, target, websocket or scheme.startswith("ws")
    )


def head_of(asked: ExplainedRequest, method: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """Make the head a client would send. Headers that are given stand in place of ours."""
    names = {name.lower() for name, _ in headers}
    default = 443 if asked.tls else 80
    host = asked.host or "localhost"
    if asked.port is not None and asked.port != default:
        host += f":{asked.port}"
    own = [("Host", host), *(HANDSHAKE if asked.websocket else ())]
    lines = [f"{name}: {value}" for name, value in own if name.lower() not in names]
    lines += [f"{name}: {value}" for name, value in headers]
    target = "".join(char if "!" <= char <= "~" else f"%{ord(char):02X}" for char in asked.target)
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def _explain(given: Any, asked: ExplainedRequest, headers: list[tuple[str, str]]) -> int:
    from penstock.cli.explain.choices import NoListener
    from penstock.cli.paths import unnamed
    from penstock.cli.reading import launch_of
    from penstock.config.errors import ConfigFailed, render
    from penstock.config.source import shown
    from penstock.doctor.explanation import as_json, as_text
    from penstock.http.errors import BadRequest

    launch = launch_of(given.file, given.prefix)
    if given.file is None and given.prefix is None and not given.json:
        sys.stderr.write(f"penstock explain: {shown(unnamed(launch, '-c nginx.conf'))}\n")
    try:
        told = Explainer(launch).explain(
            asked, head_of(asked, given.method, headers), given.client
        )
    except ConfigFailed as failed:
        for problem in failed.problems:
            sys.stderr.write(render(problem, "penstock explain") + "\n")
        return USAGE_ERROR
    except (NoListener, BadRequest) as error:
        sys.stderr.write(f"penstock explain: {error}\n")
        return USAGE_ERROR
    if given.json:
        sys.stdout.write(as_json(told))
    else:
        sys.stdout.write(as_text(told, ink_for(sys.stdout, given.color)))
    return int(told.websocket is not None and not told.websocket.survives)


class Explainer:
    """A configuration, read once. Raises `ConfigFailed`."""

    def __init__(self, configuration: Launch | Read) -> None:
        from penstock.cli.explain.backend import describe
        from penstock.cli.reading import Read, plan_of
        from penstock.doctor.site.level import levels
        from penstock.server.dry_run import Rehearsal, watched

        if isinstance(configuration, Read):
            read = configuration
        else:
            with watched():
                read = plan_of(configuration)
        assert read.plan is not None
        self._plan = read.plan
        upstreams = {each.name.lower(): each for each in levels(read.tree).walk() if each.kind == "upstream"}
        self._servers: dict[tuple[str, int], Server] | None = None
        self._rehearsal = Rehearsal(read.plan, lambda request, passing: describe(request, passing, upstreams))

    def explain(self, asked: ExplainedRequest, head: bytes, client: str = "127.0.0.1") -> Explanation:
        """Explain what becomes of a request whose head is given. Raises `NoListener`, `BadRequest`."""
        from penstock.cli.explain import choices
        from penstock.cli.explain.backend import outlook
        from penstock.doctor.explanation import ExplainedChoice, Explanation

        listen, choice = choices.listener(self._plan, asked.host.strip("[]"), asked.port, asked.tls)
        told = Explanation(head.decode("latin-1").partition("\r\n")[0], choice)
        request, searches = self._rehearsal.run(told, listen, head, (client, 54321), tls=asked.tls)
        told.server = choices.server(listen, request.host, request.server)
        told.uri, told.args = request.uri, request.args
        if searches:
            told.location = choices.location(*searches[-1])
        here = request.location
        if here.kind in ("if", "limit_except", "named") and here.span is not None:
            told.location = ExplainedChoice(here.span.text, "where the request went in the end", here.span)
        if asked.websocket:
            told.websocket = outlook(told, request, self._plan)
        return told

    def attempt(self, location: Span, target: str, over: Callable[[str], bool] | None = None) -> TriedHandshake | None:
        """Try a handshake for a target at the server whose location is given; None where that server is not reached."""
        from penstock.cli.explain.backend import outlook
        from penstock.cli.explain.choices import listener_of, servers_around
        from penstock.config.addresses import address_text
        from penstock.doctor.attempt import TriedHandshake
        from penstock.doctor.explanation import ExplainedChoice, Explanation
        from penstock.http.errors import BadRequest

        if self._servers is None:
            self._servers = servers_around(self._plan)
        server = self._servers.get((location.file, location.start))
        listen = None if server is None else listener_of(self._plan, server)
        if server is None or listen is None:
            return None
        tls = bool(listen.options.ssl)
        asked = ExplainedRequest(tls, server.name if _HOST.fullmatch(server.name) else "", None, target, True)
        head = head_of(asked, "GET", ())
        choice = ExplainedChoice(address_text(listen.address), "", listen.span)
        told = Explanation(head.decode("latin-1").partition("\r\n")[0], choice)
        try:
            client = ("127.0.0.1", 54321)
            request, searches = self._rehearsal.run(told, listen, head, client, tls=tls, server=server, over=over)
        except BadRequest:
            return None
        told.uri, told.args = request.uri, request.args
        told.websocket = outlook(told, request, self._plan)
        spans = [found.span for _, _, found, _ in searches if found is not None] + [request.location.span]
        place = location.file, location.start
        visited = any(each is not None and (each.file, each.start) == place for each in spans)
        return TriedHandshake(told, visited, self._rehearsal.decided, request.location.kind)
