"""What a location wants of its WebSocket conversations, all directives together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from penstock.config.key import Key
from penstock.config.settings import Settings
from penstock.modules.core.main import Main
from penstock.modules.logs.log import AccessLogs
from penstock.modules.websocket.drain import Draining
from penstock.modules.websocket.lifetime import Lifetimes
from penstock.modules.websocket.limits import MessageLimits
from penstock.modules.websocket.on_unhealthy import OnUnhealthy
from penstock.modules.websocket.ping import Pings
from penstock.modules.websocket.redial import Redials
from penstock.modules.websocket.websocket import WebSocket
from penstock.websocket.terms import WATCHED, Terms, shared

if TYPE_CHECKING:
    from penstock.config.scope import Scope

MODULE = "websocket_terms"

COUNTERS = "websocket_"
_MENTIONED: Key[bool] = Key("counters are mentioned")
"""How the variables begin that frames have to be counted for."""


class Conversations(Settings):
    """`terms` is None where frames are not looked at, which then costs nothing."""

    terms: Terms | None = None

    @classmethod
    def merge(cls, scope: Scope) -> Self:
        """Make the terms of a level anew only where it differs from the level above."""
        terms = _terms(scope)
        parent = scope.parent.settings(cls) if scope.parent is not None else None
        if parent is not None and parent.terms == terms:
            return parent
        made = cls()
        made.origins = {}
        made.terms = terms
        return made


def _terms(scope: Scope) -> Terms | None:
    wish = scope.settings(WebSocket).wish
    limits = scope.settings(MessageLimits)
    lifetimes = scope.settings(Lifetimes)
    ping = scope.settings(Pings).ping
    lifetime, reauth = lifetimes.lifetime, lifetimes.reauth
    knows = wish is not None and wish.carries
    terms = Terms(
        strict=knows or bool(limits.client) or bool(limits.backend),
        ping=0.0 if ping is None else ping.every,
        ping_timeout=WATCHED.ping_timeout if ping is None else ping.timeout,
        ping_client=ping is not None and ping.client,
        ping_backend=ping is not None and ping.backend,
        from_client=limits.client,
        from_backend=limits.backend,
        lifetime=lifetime.seconds,
        lifetime_jitter=lifetime.jitter,
        lifetime_code=lifetime.code,
        reauth=reauth.every,
        reauth_uri=reauth.uri,
        reauth_code=reauth.code,
        close_timeout=lifetimes.close_timeout,
        on_unhealthy=scope.settings(OnUnhealthy).what,
        redial=scope.settings(Redials).redial if knows else None,
    )
    asked_for = terms != Terms(close_timeout=terms.close_timeout)
    return shared(terms) if asked_for or _ends_tunnels(scope) or _counts(scope) else None


def _ends_tunnels(scope: Scope) -> bool:
    return scope.settings(Draining).drain is not None or bool(scope.settings(Main).shutdown_timeout)


def _counts(scope: Scope) -> bool:
    """Whether a log wants to know of frames, itself or by way of a `map` and the like."""
    logs = scope.settings(AccessLogs).logs
    if any(name.startswith(COUNTERS) for log in logs for name in log.format.names):
        return True
    shared = scope.compilation.shared
    if _MENTIONED not in shared:
        shared[_MENTIONED] = scope.compilation.variables.mentioned(COUNTERS)
    return bool(logs) and shared[_MENTIONED]
