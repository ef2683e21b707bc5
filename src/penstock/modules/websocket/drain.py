"""How tunnels are ended when a worker has to go, or a server of an upstream: `websocket_drain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.config.kinds import custom, either
from penstock.config.registry import HTTP, MAIN
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive
from penstock.config.values import decimal
from penstock.modules.websocket.params import code, options, some_time
from penstock.shared.zone import Zone

if TYPE_CHECKING:
    from penstock.plan.plan import Plan

MODULE = "websocket_drain"

SYNTAX = "time [code=number] [removed] [budget=number/s] [one_by_one]"


@dataclass(frozen=True, slots=True)
class DrainRule:
    """Tunnels are closed with `code`, spread over `window` seconds; `removed`: also those to servers that a reload has
    taken out of their upstream. `budget` tunnels are closed in any second, at most (0: as many as the window takes), of
    all machines where there is a fleet; `one_by_one`: one machine at a time."""

    window: float
    code: int = 1012
    removed: bool = False
    budget: int = 0
    one_by_one: bool = False


DRAIN_MEMORY: Key[Zone] = Key("drain")
"""Where the workers of this machine note when the next tunnel may be closed."""
MEMORY_SIZE = 32768


def _budget(text: str) -> int:
    """Read `500/s`. Raises `ValueError`."""
    number, slash, unit = text.partition("/")
    found = decimal(number)
    if not slash or unit != "s" or not found or found > 1_000_000:
        raise ValueError("a budget is so many tunnels a second: budget=500/s")
    return found


def _drain(call: Call) -> DrainRule:
    word = call.args[0]
    try:
        window = some_time(word.text)
    except ValueError as error:
        raise call.fail(f'invalid value "{word.text}" in "{call.name}" directive', word, hint=str(error)) from None
    flags = {each.text for each in call.args[1:]} & {"removed", "one_by_one"}
    words = tuple(each for each in call.args[1:] if each.text not in flags)
    given = options(call, words, {"code": code, "budget": _budget})
    budget = given.get("budget", 0)
    if "one_by_one" in flags and not budget:
        raise call.fail('"one_by_one" needs a budget', hint="write: websocket_drain 60s budget=500/s one_by_one;")
    shared = call.scope.enclosing(MAIN).compilation.shared
    if budget and DRAIN_MEMORY not in shared:
        kept = call.scope.enclosing(MAIN).compilation.previous.get(DRAIN_MEMORY)
        shared[DRAIN_MEMORY] = Zone("drain", MEMORY_SIZE) if kept is None else kept
    return DrainRule(window, given.get("code", 1012), "removed" in flags, budget, "one_by_one" in flags)


class Draining(Settings):
    """Clients that are all sent away at once all come back at once."""

    drain: DrainRule | None = directive(
        "websocket_drain",
        where=MAIN | HTTP,
        takes=either("off", None, custom(_drain, most=5, syntax=SYNTAX)),
        shown="off",
        doc="When a worker is to leave (QUIT, an upgrade), its tunnels are closed over that `time`, evenly and with "
        "jitter: WebSockets with a close frame in both directions (1012, or `code`), others plainly. So are, after a "
        "reload, tunnels to a `server` that is marked `drain`, and with `removed` those to a server that is in its "
        "`upstream` no more. With `budget=500/s` no more than so many are closed in any second, on all machines of the "
        "`fleet` together; it may take longer than the `time` then. With `one_by_one` one machine drains at a time.",
    )


def drain_rule(plan: Plan) -> DrainRule | None:
    """Return how the tunnels of a plan are ended when its worker has to go; None: they are waited for."""
    return None if plan.http is None else plan.http.settings(Draining).drain
