"""What a location wants of its conversations, as plain numbers: it goes with a tunnel that moves to another process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from penstock.websocket.redial.terms import RedialTerms


@dataclass(frozen=True, slots=True)
class DirectionLimits:
    """Of one direction; 0: none. Sizes are payload bytes on the wire, `rate` messages a second, `burst` how many may
    come at once beyond it. Control frames count as messages."""

    message: int = 0
    frame: int = 0
    rate: float = 0.0
    burst: int = 0

    def __bool__(self) -> bool:
        return bool(self.message or self.frame or self.rate)


KEPT, DRAINED = 0, 1
"""What becomes of a conversation whose backend is unhealthy, besides a close code."""

NO_LIMITS = DirectionLimits()


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a location for its conversations. Times are seconds; 0: off. `strict`: what breaks the protocol is
    closed with 1002, and not left alone.

    `ping` is how long a side may say nothing before it is pinged, `ping_timeout` how long it may then say nothing;
    `reauth` is how often the subrequest to `reauth_uri` is made, with the code for a refusal. `on_unhealthy` is KEPT,
    DRAINED, or the code to close with when the backend has failed its checks. `redial`: None where nobody is looked for
    when the backend is lost.
    """

    strict: bool = False
    ping: float = 0.0
    ping_timeout: float = 10.0
    ping_client: bool = False
    ping_backend: bool = False
    from_client: DirectionLimits = field(default=NO_LIMITS)
    from_backend: DirectionLimits = field(default=NO_LIMITS)
    lifetime: float = 0.0
    lifetime_jitter: float = 0.0
    lifetime_code: int = 1001
    reauth: float = 0.0
    reauth_uri: str = ""
    reauth_code: int = 1008
    close_timeout: float = 5.0
    on_unhealthy: int = 0
    redial: RedialTerms | None = None

    def plain(self) -> dict[str, object]:
        """Return them as numbers and text, without `redial`, which a location says anew."""
        return {name: value for name, value in asdict(self).items() if name != "redial"}


WATCHED = Terms()
"""Frames are looked at, and nothing more is asked for."""


@lru_cache(256)
def shared(terms: Terms) -> Terms:
    """Return one instance for all tunnels with the same terms."""
    return terms


def terms_of(plain: dict[str, Any]) -> Terms:
    """Make terms of what `Terms.plain` gave. Raises `TypeError` if it does not fit."""
    own = dict(plain)
    own["from_client"] = DirectionLimits(**own["from_client"])
    own["from_backend"] = DirectionLimits(**own["from_backend"])
    return shared(Terms(**own))
