"""Locations with rules for WebSockets: whatever could become one is judged as one.

What a client writes is not what its backend gets: `proxy_set_header` makes a perfect handshake of an HTTP/1.0 request,
of a POST, of a request of HTTP/2. So here the request is looked at as it goes out. One that could become a WebSocket
must be a handshake of its client's own, and keep every rule; and a 101 is passed on for such a one alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from penstock.http.request import Answer, Request
from penstock.modules.websocket.lifetime import Lifetimes
from penstock.modules.websocket.limits import MessageLimits
from penstock.modules.websocket.origins import WebSocketOrigins
from penstock.modules.websocket.protocols import WebSocketProtocols
from penstock.modules.websocket.websocket import WebSocket, asks, has_refused, refuse_bad, switched_off, what_is_wrong

if TYPE_CHECKING:
    from penstock.config.scope import Scope

_upgrade_line = re.compile(rb"\n[ \t]*upgrade[ \t]*:[^\n]*websocket", re.IGNORECASE)
_protocol_lines = re.compile(rb"\n[ \t]*sec-websocket-protocol[ \t]*:([^\r\n]*)", re.IGNORECASE)
UNASKED = "the client did not ask for a WebSocket, as far as this server can tell"


class Sent:
    """What of a request, as it goes out, makes a WebSocket of it: whether its Upgrade has anything to do with one, and
    the subprotocols it offers."""

    __slots__ = ("protocols", "upgrade")

    def __init__(self, *, upgrade: bool, protocols: str | None) -> None:
        self.upgrade = upgrade
        self.protocols = protocols


NO_UPGRADE = Sent(upgrade=False, protocols=None)


def sent_as_parameters(pairs: Iterable[tuple[str, str]]) -> Sent:
    """Find what asks for a WebSocket in the parameters of uwsgi and SCGI."""
    upgrade = False
    offered = []
    for name, value in pairs:
        if name == "HTTP_UPGRADE":
            upgrade = upgrade or "websocket" in value.lower()
        elif name == "HTTP_SEC_WEBSOCKET_PROTOCOL":
            offered.append(value)
    return Sent(upgrade=True, protocols=", ".join(offered) if offered else None) if upgrade else NO_UPGRADE


def sent_as_http(head: bytes) -> Sent:
    """Find what asks for a WebSocket in a head of HTTP/1.1, or 1.0."""
    if _upgrade_line.search(head) is None:
        return NO_UPGRADE
    offered = _protocol_lines.findall(head)
    return Sent(upgrade=True, protocols=b", ".join(offered).decode("latin-1") if offered else None)


class HandshakeRules:
    """Of one location that has rules."""

    __slots__ = ()

    def refusal(self, request: Request, sent: Sent) -> Answer | None:
        """Return the answer to a request that goes out like this and may not; None where it may."""
        if not sent.upgrade:
            return None
        location = request.location
        wish = location[WebSocket].wish
        if wish is not None and wish.mode == "off":
            return switched_off(request, wish)
        refused = self._unfit(request)
        if refused is not None:
            return refused
        refused = location[WebSocketOrigins].judge(request)
        return refused if refused is not None else location[WebSocketProtocols].judge(request, sent.protocols)

    def _unfit(self, request: Request) -> Answer | None:
        problems = what_is_wrong(request)
        if not problems and not asks(request):
            problems = [UNASKED]
        return refuse_bad(request, problems) if problems else None

    def let_in(self, request: Request) -> bool:
        """Return whether a 101 may be passed on: the client's own handshake is a good one, and nothing has refused it.
        """
        wish = request.location[WebSocket].wish
        if wish is not None and wish.mode == "off":
            return False
        return asks(request) and not has_refused(request) and not what_is_wrong(request)


GUARD = HandshakeRules()


def guard_for(scope: Scope) -> HandshakeRules | None:
    """Return the guard of a level, where it has rules that a client could want to get around."""
    wish = scope.settings(WebSocket).wish
    limits, lifetimes = scope.settings(MessageLimits), scope.settings(Lifetimes)
    if (
        wish is not None
        or scope.settings(WebSocketOrigins).allowed is not None
        or scope.settings(WebSocketProtocols).protocols is not None
        or limits.client
        or limits.backend
        or lifetimes.lifetime.seconds
        or lifetimes.reauth.every
    ):
        return GUARD
    return None
