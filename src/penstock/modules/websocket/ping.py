"""Pings of our own in WebSocket tunnels: `websocket_ping`. A silent tunnel stays, one with a dead peer goes."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.kinds import custom, either
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive
from penstock.modules.websocket.params import options, side, some_time

MODULE = "websocket_ping"

SYNTAX = "time [timeout=time] [to=client | backend | both]"


@dataclass(frozen=True, slots=True)
class Ping:
    """`every` seconds of silence a side is pinged, and has `timeout` seconds to answer."""

    every: float
    timeout: float
    client: bool
    backend: bool


def _ping(call: Call) -> Ping:
    first, *more = call.args
    try:
        interval = some_time(first.text)
    except ValueError as error:
        raise call.fail(f'invalid value "{first.text}" in "{call.name}" directive', first, hint=str(error)) from None
    given = options(call, tuple(more), {"timeout": some_time, "to": side})
    to = given.get("to", "client")
    return Ping(interval, given.get("timeout", 10.0), to in ("client", "both"), to in ("backend", "both"))


class Pings(Settings):
    """A side that has said nothing for a while is asked whether it is there."""

    ping: Ping | None = directive(
        "websocket_ping",
        where=HTTP_LEVELS,
        takes=either("off", None, custom(_ping, most=3, syntax=SYNTAX)),
        shown="off",
        doc="Who has sent nothing for that `time` gets a ping, between two frames; who then sends nothing for "
        "`timeout` (10s) is gone: the tunnel is closed, and the other side gets 1001. With it, `proxy_read_timeout` "
        "no longer ends a tunnel whose peers answer. `to` is `client` unless told.",
    )
