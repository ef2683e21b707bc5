"""A handshake that a backend answered with something else than 101: what it said and why, once a minute a location."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadMessage
from penstock.http.head import parse_request
from penstock.modules.core.hints import PAUSE, may_hint
from penstock.modules.websocket.websocket import asks

if TYPE_CHECKING:
    from penstock.doctor.refusals.refusals import RefusedHandshake
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead
    from penstock.upstream.exchange.exchange import Exchange

BODY = 600
"""Bytes of an answer that are looked at for known words."""
LOST = "upgrade lost"
"""The note of a location that has said already that it passes handshakes on without Upgrade."""


class Refusals:
    """Of one location."""

    __slots__ = ("_again",)

    def __init__(self) -> None:
        self._again = 0.0

    def note(self, request: Request, exchange: Exchange, head: ResponseHead) -> None:
        """Note an answer that is no 101, to a request with an Upgrade."""
        now = request.connection.service.timers.now
        if now < self._again or request.parent is not None or not asks(request):
            return
        self._again = now + PAUSE
        if not may_hint(request, "refused"):
            return
        from penstock.doctor.refusals.refusals import RefusedHandshake, Said, causes, described

        own = request.head
        client = RefusedHandshake(own.target, own.fields, own.version)
        said = Said(head.status, head.fields, _body(exchange, head))
        found = causes(_sent(exchange) or client, said, client)
        if found[0].id == "upgrade-lost" and LOST in request.location.notes:
            return
        words = str(found[0])
        if not found[0].sure and len(found) > 1:
            words += f"; or else {found[1].text}"
        level = "error" if found[0].sure else "warn"
        exchange.log(level, f"a WebSocket handshake was answered with {described(said)}, not 101: {words}")


def _sent(exchange: Exchange) -> RefusedHandshake | None:
    """The head as the backend got it; None where that was not HTTP."""
    from penstock.doctor.refusals.refusals import RefusedHandshake

    try:
        head = parse_request(exchange.plan.head)
    except BadMessage:
        return None
    return RefusedHandshake(head.target, head.fields, head.version)


def _body(exchange: Exchange, head: ResponseHead) -> str:
    if "content-encoding" in head.fields:
        return ""
    data = exchange.rest[:BODY]
    if head.chunked:
        data = data.partition(b"\r\n")[2].partition(b"\r\n")[0]
    return data.decode("latin-1")
