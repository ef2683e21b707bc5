"""What goes on, as JSON for programs and as a small page for people: `status`."""

from __future__ import annotations

import json
import os
from typing import Any

from penstock import __version__
from penstock.config.kinds import custom, number
from penstock.config.registry import HTTP_LEVELS, LOCATION, SERVER
from penstock.config.scope import Call
from penstock.config.settings import NOT, Settings, directive, phase
from penstock.http.request import Answer, Outcome, Request, special
from penstock.http.uri import escape_entities
from penstock.modules.fleet.link_state import shown
from penstock.modules.fleet.membership import FLEET
from penstock.observe.metric_names import redials_in
from penstock.observe.selection import ToldTunnels, TunnelSelection
from penstock.plan import phases
from penstock.shared.counters import COUNTERS, Counters

MOST = 10_000
"""Tunnels that one page may list, whatever `status_tunnels` says."""
TEXTS = ("id", "kind", "client", "server", "location", "upstream", "peer", "transport", "state")
TIMES = ("idle", "older")


def _wanted(call: Call) -> bool:
    compilation = call.compilation
    if COUNTERS not in compilation.shared:
        compilation.shared[COUNTERS] = compilation.previous.get(COUNTERS) or Counters()
    return True


def _most(call: Call) -> int:
    word = call.args[0]
    found: int = number.parse(call)
    if found > MOST:
        raise call.fail(f'"status_tunnels" is at most {MOST}', word)
    return found


class Status(Settings):
    """Connections, and the tunnels that are open now in all workers."""

    enabled: bool = directive(
        "status",
        where=SERVER | LOCATION,
        takes=custom(_wanted, least=0, most=0),
        default=False,
        inherit=NOT,
        doc="JSON: connections, and the oldest tunnels of all workers, filtered by arguments such as `?peer=10.0.0.3` "
        "or `?idle=60`, in pages (`?limit=50&offset=50`); a page for people where `text/html` is asked for. It shows "
        "addresses of clients: protect it with `allow` and `deny`.",
    )
    tunnels: int = directive(
        "status_tunnels",
        where=HTTP_LEVELS,
        takes=custom(_most, syntax="number"),
        default=100,
        doc="How many tunnels `status` lists at most; 0: their number only.",
    )

    @phase(phases.CONTENT, when=lambda self: self.enabled)
    async def serve(self, request: Request) -> Outcome:
        """Answer GET and HEAD with the page."""
        if request.method not in ("GET", "HEAD"):
            return special(405)
        await request.body.discard()
        try:
            asked = _arguments(request.args)
            limit = min(_whole(asked.pop("limit", None), self.tunnels), self.tunnels)
            offset = min(_whole(asked.pop("offset", None), 0), MOST)
            selection = _selection(asked)
        except ValueError as error:
            return Answer(400, f"{error}\n".encode("latin-1", "replace"), content_type="text/plain")
        found = await _gather(request, selection, limit, offset)
        if "text/html" in request.head.fields.get("accept", ""):
            return _page(found)
        text = json.dumps(found, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"
        return _fresh(Answer(200, text, content_type="application/json"))


def _fresh(answer: Answer) -> Answer:
    answer.headers.append(("Cache-Control", "no-store"))
    return answer


def _arguments(text: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(text, max_num_fields=20, encoding="latin-1")) if text else {}


def _whole(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise ValueError("limit and offset are numbers")
    return int(text)


def _selection(asked: dict[str, str]) -> TunnelSelection:
    plain: dict[str, Any] = {}
    for name, value in asked.items():
        if name in TEXTS:
            plain[name] = value
        elif name in TIMES:
            plain[name] = float(value)
        else:
            raise ValueError(f"unknown argument; known are {', '.join((*TEXTS, *TIMES, 'limit', 'offset'))}")
    return TunnelSelection.read(plain)


async def _gather(request: Request, selection: TunnelSelection, limit: int, offset: int) -> ToldTunnels:
    from penstock.modules.logs.stub_status import figures
    from penstock.observe.ask_workers import ask_siblings, oldest_first

    service, wanted = request.connection.service, selection.plain()
    answers: list[ToldTunnels] = [await service.tunnels(wanted, offset + limit)]
    silent = 0
    if service.control:
        question = {"do": "tunnels", "select": wanted, "limit": offset + limit}
        others, silent = await ask_siblings(service.control, question)
        answers += others
    listed = oldest_first(answers)
    found: ToldTunnels = {
        "version": __version__,
        "workers": [answer["pid"] for answer in answers],
        "connections": figures(request)._asdict(),
        "tunnels": {
            "open": sum(answer["open"] for answer in answers),
            "matched": sum(answer["matched"] for answer in answers),
            "listed": listed[offset : offset + limit],
        },
    }
    if service.meters is not None:
        found["redials"] = redials_in(service.meters.sums())
    fleet = service.plan.shared.get(FLEET)
    if fleet is not None and fleet.link is not None:
        found["fleet"] = shown(fleet.link)
    if not service.control:
        found["note"] = f"control_socket is off: these are the tunnels of worker {os.getpid()} alone"
    elif silent:
        found["note"] = f"{silent} workers did not answer"
    return found


_COLUMNS = (*TEXTS, "age", "idle", "messages_in", "messages_out", "bytes_in", "bytes_out", "redials")
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:1.5em}div{overflow-x:auto}table{border-collapse:collapse}"
    "td,th{padding:.2em .7em;text-align:left;border-bottom:1px solid #8888;white-space:nowrap}td.n{text-align:right}"
)


def _page(found: ToldTunnels) -> Answer:
    tunnels = found["tunnels"]
    connections = ", ".join(f"{name} {value}" for name, value in found["connections"].items())
    redials = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.get("redials", {}).items())
    fleet = ", ".join(f"{name} {value}" for name, value in found.get("fleet", {}).items())
    parts = [
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Penstock</title>",
        "<meta name=viewport content='width=device-width'><meta name=color-scheme content='light dark'>",
        f"<style>{_STYLE}</style><h1>Penstock {__version__}</h1>",
        f"<p>{len(found['workers'])} workers; connections: {connections}</p>",
        f"<p>redials: {redials}</p>" if redials else "",
        f"<p>fleet: {escape_entities(fleet)}</p>" if fleet else "",
        f"<p>{escape_entities(found['note'])}</p>" if "note" in found else "",
        f"<h2>{tunnels['open']} tunnels open</h2><p>{len(tunnels['listed'])} of {tunnels['matched']} shown, the "
        "oldest first; times in seconds</p><div><table><tr>",
        *(f"<th>{name.replace('_', ' ')}" for name in _COLUMNS),
    ]
    for entry in tunnels["listed"]:
        parts.append("<tr>")
        for name in _COLUMNS:
            value = entry.get(name, "")
            number_like = isinstance(value, (int, float))
            parts.append(f"<td{' class=n' if number_like else ''}>{escape_entities(str(value))}")
    parts.append("</table></div>\n")
    body = "".join(parts).encode("ascii", "xmlcharrefreplace")
    return _fresh(Answer(200, body, content_type="text/html"))
