"""What a backend would get from a location, and what would become of a WebSocket: read off the compiled settings."""

from __future__ import annotations

from penstock.config.registry import REGISTRY, Verdict
from penstock.config.source import Span
from penstock.doctor.explanation import ExplainedBackend, Explanation, Header, Setting
from penstock.doctor.explanation import WebSocketVerdict as Outlook
from penstock.doctor.handshake import WHOLE, cut_off, flaws
from penstock.doctor.site.level import Level
from penstock.http.request import Request
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.main import Main
from penstock.modules.proxy.head import HOP_BY_HOP
from penstock.modules.proxy.pass_request import Passing
from penstock.modules.proxy.proxy import Proxy
from penstock.modules.proxy.targets import Destination
from penstock.plan.plan import Plan
from penstock.upstream.errors import ProxyError
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer

METHODS = ("ip_hash", "hash", "least_conn", "least_time", "random")
WAITING = ("queue", "websocket_admission")
MEANINGS = (
    ("connect_timeout", "until the backend takes the connection"),
    ("send_timeout", "while the backend takes nothing of what is sent"),
    ("read_timeout", "while the backend says nothing; in a tunnel, while nobody says anything"),
)
OF_TUNNELS = "websocket_"
"""What our own directives for tunnels begin with."""
NO_ENDS = ("websocket_origins", "websocket_admission")
"""Those that end no tunnel once it is open."""


def describe(request: Request, passing: Passing, upstreams: dict[str, Level]) -> ExplainedBackend | None:
    """Describe what would be sent; None where the target of this request makes no sense."""
    there = passing.targets.known(request)
    if there is None:
        return None
    target = there.target
    group = passing.targets.group(target.name) if not target.unix and not target.port else None
    there = Destination(target, group or there.group)
    try:
        own = passing.set_body(request) if passing.sets_body else None
        length = request.head.content_length if own is None else len(own)
        prepared = passing.prepare(request, there, length, chunked=request.head.chunked and own is None)
    except ProxyError:
        return None
    block = upstreams.get(there.group.name.lower()) if not there.group.implicit and group is not None else None
    headers: list[Header] = []
    left_out: list[Header] = []
    if isinstance(passing, Proxy):
        line, headers, left_out = _head(request, passing, prepared.head)
    else:
        line = f"{request.method} {request.head.target}, in the form of {passing.prefix}"
    return ExplainedBackend(
        module=passing.prefix,
        target=f"{target.scheme}{target.host_header or target.name}",
        line=line,
        uri=prepared.label[1],
        group=there.group.name,
        policy=_policy(block, there.group),
        peers=[] if block is None else [_peer(each) for each in there.group.peers],
        secure=there.secure,
        headers=headers,
        left_out=left_out,
        timeouts=_timeouts(request, passing),
        span=passing.origin("target"),
        group_span=None if block is None else block.span,
        hidden=[each.lower() for each in passing.hidden_headers if each.lower() not in _lower(passing.passed_headers)],
    )


def _lower(names: tuple[str, ...]) -> set[str]:
    return {each.lower() for each in names}


def _head(request: Request, proxy: Proxy, head: bytes) -> tuple[str, list[Header], list[Header]]:
    """The request line, the headers with the lines they came from, and what is left out."""
    line, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = [(name, value) for name, _, value in (each.partition(": ") for each in rest)]
    written = list(zip(proxy.set_headers, proxy.origins.get("set_headers", ()), strict=False))
    given = [(each.name.lower(), each.value.evaluate(request), span) for each, span in written]
    client = [(name.lower(), value) for name, value in request.head.headers]
    headers = []
    for name, value in pairs:
        key = name.lower()
        at = next((place for place, each in enumerate(given) if each[0] == key and each[1] == value), None)
        if at is not None:
            headers.append(Header(name, value, "proxy_set_header", given.pop(at)[2]))
        elif key == "host":
            headers.append(Header(name, value, "the default: what proxy_pass names", proxy.origin("target")))
        elif key in ("upgrade", "connection") and proxy.heads is not None:
            headers.append(Header(name, value, "websocket", _websocket_line(request)))
        elif key in ("content-length", "transfer-encoding"):
            headers.append(Header(name, value, "the length of the body"))
        else:
            headers.append(Header(name, value, "the client"))
    sent = {name.lower() for name, _ in pairs}
    left_out = [
        Header(each.name, "", "proxy_set_header", span, "its value is empty" + _empty(each.value.text))
        for each, span in written
        if each.name.lower() not in sent
    ]
    for name, value in client:
        if name not in sent and name in HOP_BY_HOP and all(each.name.lower() != name for each in left_out):
            left_out.append(Header(name, value, "the client", None, "it concerns this hop only, and is not passed on"))
    return line, headers, left_out


def _empty(text: str) -> str:
    return f" ({text})" if text else ""


def _websocket_line(request: Request) -> Span | None:
    from penstock.modules.websocket.websocket import WebSocket

    return request.location[WebSocket].origin("wish")


def _policy(block: Level | None, group: Group) -> str:
    """How a peer is chosen, in the words of the configuration."""
    if block is None:
        plain = group.name.strip("[]").replace(":", "").replace(".", "").isalnum() and not group.name[:1].isalpha()
        return "an address" if plain or "/" in group.name else "a name, looked up when it runs"
    method = next((each.span.text for name in METHODS for each in block.own(name)), "round robin")
    sticky = next((each.span.text for each in block.own("sticky")), None)
    words = [f"{sticky}, and {method} for new sessions" if sticky else method]
    words += [f"checked every {seconds(check.interval)} ({check.kind})" for check in group.checks]
    words += [each.span.text for name in WAITING for each in block.own(name)]
    return "; ".join(words)


def _peer(peer: Peer) -> str:
    options = peer.options
    words = [peer.server]
    if options.weight != 1:
        words.append(f"weight={options.weight}")
    if options.max_conns:
        words.append(f"max_conns={options.max_conns}")
    if options.slow_start:
        words.append(f"slow_start={options.slow_start:g}s")
    words += [name for name in ("backup", "down", "drain") if getattr(options, name)]
    return " ".join(words)


def _timeouts(request: Request, passing: Passing) -> list[Setting]:
    found = [
        Setting(f"{passing.prefix}_{name}", seconds(getattr(passing, name)), meaning, passing.origin(name))
        for name, meaning in MEANINGS
    ]
    core = request.location[HttpCore]
    meaning = "while the client takes nothing of what is sent"
    found.append(Setting("send_timeout", seconds(core.send_timeout), meaning, core.origin("send_timeout")))
    for kind, settings in request.location.items():
        for attribute, field in kind.fields.items():
            span = settings.origin(attribute)
            name = field.names[0]
            if span is not None and name.startswith(OF_TUNNELS) and any(
                spec.verdict is Verdict.IMPLEMENTED for spec in REGISTRY.specs(name)
            ):
                found.append(Setting(name, span.text.partition(name)[2].strip(), "for tunnels", span))
    return found


def seconds(value: float) -> str:
    """Write a time as `60 s`."""
    return f"{value:g} s"


def outlook(told: Explanation, request: Request, plan: Plan) -> Outlook:
    """Judge whether the handshake would reach the backend whole, and what would end the tunnel."""
    backend = told.backend
    if told.answer is not None or backend is None:
        return Outlook(False, [f"this server answers by itself: {told.answer or 'no backend is asked'}"], [])
    if backend.module not in ("proxy", "uwsgi", "scgi"):
        return Outlook(False, [f"{backend.module}_pass carries no WebSockets"], [])
    wrong = flaws(backend) if backend.module == "proxy" else []
    if wrong:
        return Outlook(False, [each.value for each in wrong], [])
    name = cut_off(told.request.partition(" ")[2], backend.uri)
    if name:
        return Outlook(False, [f"{name} listens at /{name}/, and the backend is asked at {backend.uri}"], [])
    why = WHOLE if backend.module == "proxy" else ("the client's headers are passed on",)
    timeouts = {each.name: each for each in backend.timeouts}
    read = timeouts[f"{backend.module}_read_timeout"]
    own = {each.name: each.value for each in backend.timeouts if each.name.startswith(OF_TUNNELS)}
    ping = own.pop("websocket_ping", None)
    silence = f"neither side has sent anything for {read.value} ({read.name}): pings more often than that keep it open"
    ends = [
        silence if ping in (None, "off") else f"a ping of ours is not answered (websocket_ping {ping})",
        f"the backend takes nothing for {timeouts[f'{backend.module}_send_timeout'].value}",
        f"the client takes nothing for {timeouts['send_timeout'].value}",
    ]
    ends += [f"{name} {value} says so" for name, value in own.items() if name not in NO_ENDS]
    shutdown = plan.main.settings(Main).shutdown_timeout
    if shutdown is not None:
        ends.append(f"{seconds(shutdown)} have gone by after a reload (worker_shutdown_timeout)")
    return Outlook(True, list(why), ends)
