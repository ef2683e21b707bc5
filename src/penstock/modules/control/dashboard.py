"""`dashboard`: one page that shows what goes on, live, and lets somebody steer where that is allowed.

The page and what belongs to it come from here; it asks for nothing elsewhere. It is told each second by events, and
asks for tunnels a page at a time: the workers sort and choose, so that ten thousand of them are no burden to a browser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl

from penstock.config.inputs import read_file
from penstock.config.kinds import custom
from penstock.config.registry import LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import NOT, Settings, directive, phase
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.control.live import LiveEvents, LiveFigures
from penstock.modules.control.same_site import may_write, own_name, strange, warn_unprotected
from penstock.modules.logs.metrics import count_for
from penstock.modules.upstream.steering import SteeringRefused
from penstock.observe.ask_workers import best_first, tunnels_of_all
from penstock.observe.errorlog import NOTICE, WARN, report
from penstock.observe.selection import RANKS, TunnelSelection
from penstock.plan import phases

FILES = {
    "dashboard.html": "text/html; charset=utf-8",
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
MOST_VIEWERS = 64
"""Pages that are told by one worker at a time."""
LONGEST = 64 << 10
"""Bytes of an order."""
LARGEST_PAGE = 200
REACH = 10_000
"""Tunnels that can be turned to, in the order that is asked for; a filter finds the others."""


@dataclass(frozen=True, slots=True)
class DashboardUse:
    """How the dashboard may be used, and what it is made of."""

    write: bool
    files: Mapping[str, bytes]


def _use(call: Call) -> DashboardUse:
    count_for(call.compilation)
    write = may_write(call)
    folder = Path(__file__).with_name("page")
    # Read with the configuration: workers may not be able to, and an upgrade of the files must not mix versions.
    return DashboardUse(write, {name: read_file(str(folder / name).encode().decode("latin-1")) for name in FILES})


class Dashboard(Settings):
    """A page for people."""

    use: DashboardUse | None = directive(
        "dashboard",
        where=LOCATION,
        takes=custom(_use, least=0, most=1, syntax="[write=on | off]"),
        inherit=NOT,
        doc="A page that shows upstreams, tunnels, messages, handshakes, workers and certificates as they are now. "
        "With `write=on` servers are drained and taken out, and tunnels closed, after a question. It shows addresses "
        "of clients: protect it with `allow` and `deny`, or a password. Penstock's own.",
    )

    def finish(self, scope: Scope) -> None:
        """Warn where strangers could reach it."""
        if self.use is not None:
            warn_unprotected(scope, "dashboard", self.origins["use"][0], writes=self.use.write)

    @phase(phases.CONTENT, when=lambda self: self.use is not None)
    async def serve(self, request: Request) -> Outcome:
        """Answer with the page, what belongs to it, figures, or what became of an order."""
        use = self.use
        assert use is not None
        if request.method == "POST":
            return await _ordered(request, use)
        if request.method not in ("GET", "HEAD"):
            return special(405)
        await request.body.discard()
        asked = _arguments(request.args)
        name = asked.get("file", "dashboard.html")
        if "view" not in asked:
            # The page itself tells nothing: a link to it from elsewhere is no harm.
            if name not in use.files:
                return special(404)
            return _guarded(Answer(200, use.files[name], content_type=FILES[name]))
        why = strange(request) or ("" if own_name(request) else "the host is not the server's: add it to server_name")
        if why:
            report(request, WARN, f"the dashboard does not answer: {why}")
            return _json({"error": why}, 403)
        if asked["view"] == "events":
            return _events(request, use)
        try:
            return _json(await _tunnels(request, asked))
        except ValueError as error:
            return _json({"error": str(error)}, 400)


def _arguments(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, max_num_fields=20, encoding="latin-1")) if text else {}
    except ValueError:
        return {}


def _events(request: Request, use: DashboardUse) -> Outcome:
    service = request.connection.service
    if LiveEvents.viewers >= MOST_VIEWERS:
        return special(503)
    events = LiveEvents(service, LiveFigures.of(service), write=use.write)
    request.hold(events)
    return _guarded(Answer(200, events, length=None, content_type="text/event-stream"))


async def _tunnels(request: Request, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of tunnels. Raises `ValueError`."""
    began = monotonic()
    limit = min(_whole(asked.get("limit", "25")), LARGEST_PAGE)
    offset = min(_whole(asked.get("offset", "0")), REACH)
    sort = asked.get("sort", "age")
    if sort not in RANKS:
        raise ValueError(f"tunnels are sorted by {', '.join(RANKS)}")
    names = ("text", "upstream", "peer", "state", "client", "server")
    wanted = {name: asked[name] for name in names if asked.get(name)}
    selection = TunnelSelection.read(wanted).plain()
    answers = await tunnels_of_all(request.connection.service, selection, offset + limit, sort)
    return {
        "open": sum(answer["open"] for answer in answers),
        "matched": sum(answer["matched"] for answer in answers),
        "reach": REACH + LARGEST_PAGE,
        "listed": best_first(answers)[offset : offset + limit],
        "took": monotonic() - began,
    }


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise ValueError("limit and offset are numbers")
    return int(text)


async def _ordered(request: Request, use: DashboardUse) -> Answer:
    why = strange(request) or ("" if own_name(request) else "the host is not the server's: add it to server_name")
    if not use.write:
        why = "nothing is changed here: dashboard has no write=on"
    elif request.head.fields.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        why = why or "an order is application/json"  # what a form of another site can not send
    if why:
        await request.body.discard()
        return _json({"error": why}, 403)
    pieces, size = [], 0
    while piece := await request.body.read():
        size += len(piece)
        if size > LONGEST:
            return _json({"error": "an order is shorter"}, 413)
        pieces.append(piece)
    try:
        order = json.loads(b"".join(pieces))
        if not isinstance(order, dict):
            raise ValueError("an order is an object")
        return _json({"done": await _obey(request, order)})
    except SteeringRefused as refused:
        return _json({"error": str(refused)}, refused.status)
    except (ValueError, RecursionError) as error:
        return _json({"error": str(error)}, 400)


async def _obey(request: Request, order: Mapping[str, Any]) -> int:
    """Do it; how many tunnels were closed. Raises `ValueError`, `SteeringRefused`."""
    service, act = request.connection.service, order.get("act")
    if act == "close":
        which, code = order.get("id"), order.get("code", 1001)
        if not isinstance(which, str) or not which:
            raise ValueError("which tunnel is to be closed?")
        report(request, NOTICE, f"a tunnel is closed by the dashboard with {code}")
        return await service.close_tunnels({"select": {"id": which}, "code": code})
    if act not in ("set", "drain"):
        raise ValueError("an order is set, drain or close")
    upstream, peer = order.get("upstream"), order.get("peer")
    options = {"drain": True} if act == "drain" else order.get("options", {})
    await service.steer({"act": "set", "upstream": upstream, "peer": peer, "options": options})
    spread = order.get("spread")
    if act != "drain" or spread is None:
        return 0
    name = next(
        each["name"] for group in service.upstreams() if group["name"] == upstream for each in group["peers"]
        if each["id"] == peer
    )
    return await service.close_tunnels({"select": {"peer": name, "upstream": upstream}, "code": 1012, "spread": spread})


def _json(found: object, status: int = 200) -> Answer:
    return _guarded(Answer(status, json.dumps(found, separators=(",", ":")).encode(), content_type="application/json"))


def _guarded(answer: Answer) -> Answer:
    answer.headers += [
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ]
    return answer
