"""How tunnels are ended when a worker has to go, or a server of an upstream: `websocket_drain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.kinds import custom, either
from penstock.config.registry import HTTP, MAIN
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive
from penstock.modules.websocket_words import code, options, some_time

if TYPE_CHECKING:
    from penstock.plan.plan import Plan

SYNTAX = "time [code=number] [removed]"


@dataclass(frozen=True, slots=True)
class DrainRule:
    """Tunnels are closed with `code`, spread over `window` seconds; `removed`: also those to servers that a reload has
    taken out of their upstream."""

    window: float
    code: int = 1012
    removed: bool = False


def _drain(call: Call) -> DrainRule:
    word = call.args[0]
    try:
        window = some_time(word.text)
    except ValueError as error:
        raise call.fail(f'invalid value "{word.text}" in "{call.name}" directive', word, hint=str(error)) from None
    removed = any(each.text == "removed" for each in call.args[1:])
    given = options(call, tuple(each for each in call.args[1:] if each.text != "removed"), {"code": code})
    return DrainRule(window, given.get("code", 1012), removed)


class Draining(Settings):
    """Clients that are all sent away at once all come back at once."""

    drain: DrainRule | None = directive(
        "websocket_drain",
        where=MAIN | HTTP,
        takes=either("off", None, custom(_drain, most=3, syntax=SYNTAX)),
        shown="off",
        doc="When a worker is to leave (QUIT, an upgrade), its tunnels are closed over that `time`, evenly and with "
        "jitter: WebSockets with a close frame in both directions (1012, or `code`), others plainly. So are, after a "
        "reload, tunnels to a `server` that is marked `drain`, and with `removed` those to a server that is in its "
        "`upstream` no more.",
    )


def drain_rule(plan: Plan) -> DrainRule | None:
    """How the tunnels of a plan are ended when its worker has to go; None: they are waited for."""
    return None if plan.http is None else plan.http.settings(Draining).drain
