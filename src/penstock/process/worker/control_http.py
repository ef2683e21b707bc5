"""nginx's control API (version 1), spoken at the control sockets: configuration, reload with its result, processes.

    curl --unix-socket /run/penstock.control/4711 http://localhost/1/control/processes

https://nginx.org/en/docs/switches.html has it at the address of `-l`. One request a connection; who may ask is decided
by the socket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import __version__
from penstock.http.status import REASONS
from penstock.process.worker.ask_master import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.plan.plan import Plan

Ask = Callable[[str], "Awaitable[Mapping[str, Any]]"]

# request-line = method SP request-target SP HTTP-version (RFC 9112, section 3)
_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.[01]\r?\n")


class ControlRequest(NamedTuple):
    """What is asked for."""

    method: str
    path: str


class ControlAnswer(NamedTuple):
    """A status and what JSON can hold."""

    status: int
    body: Any


def parse_control(head: bytes) -> ControlRequest | None:
    """Parse the first line of a head; None if it is no HTTP."""
    found = _REQUEST_LINE.match(head)
    if found is None:
        return None
    path = found[2].decode("ascii").partition("?")[0]
    return ControlRequest(found[1].decode("ascii"), path.rstrip("/") or "/")


async def control_answer(request: ControlRequest, plan: Plan, ask: Ask) -> ControlAnswer:
    """Do what is asked. `ask` asks the master."""
    method, path = request
    if path == "/1/control/config" and method == "PATCH":
        return await _reload(ask)
    if path not in _SHOWN and path not in ("/1/control/config", "/1/control/processes"):
        return ControlAnswer(404, {"error": f"there is no {path}; see /1"})
    if method not in ("GET", "HEAD"):
        return ControlAnswer(405, {"error": f"{method} does nothing here"})
    if path == "/1/control/config":
        return ControlAnswer(200, [{"name": _shown(each.path), "content": _shown(each.text)} for each in plan.sources])
    if path == "/1/control/processes":
        try:
            told = await ask("processes")
        except NoAnswer as error:
            return ControlAnswer(500, {"error": str(error)})
        return ControlAnswer(200, [{"name": "worker process", **each} for each in told.get("processes", ())])
    return ControlAnswer(200, _SHOWN[path])


async def _reload(ask: Ask) -> ControlAnswer:
    try:
        told = await ask("reload")
    except NoAnswer as error:
        return ControlAnswer(500, {"logs": [str(error)]})
    lines = [_shown(line) for line in told.get("lines", ())]
    return ControlAnswer(200 if told.get("succeeded") is True else 422, {"logs": lines})


_SHOWN: dict[str, Any] = {
    "/1": ["control", "nginx"],
    "/1/control": ["processes", "config"],
    "/1/nginx": {"version": __version__, "build": "penstock"},
}


def _shown(text: str) -> str:
    """Text as it was meant, of the bytes that a configuration is."""
    return text.encode("latin-1").decode("utf-8", "replace")


def rendered(request: ControlRequest, answer: ControlAnswer) -> bytes:
    """Write an answer down as HTTP/1.1."""
    body = json.dumps(answer.body, separators=(",", ":")).encode("ascii")
    head = (
        f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Unknown')}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if request.method == "HEAD" else body)
