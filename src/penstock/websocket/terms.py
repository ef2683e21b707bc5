"""What a location wants of its conversations, as plain numbers: it goes with a tunnel that moves to another process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one direction; 0: none. Sizes are payload bytes on the wire, `rate` messages a second, `burst` how many may
    come at once beyond it. Control frames count as messages."""

    message: int = 0
    frame: int = 0
    rate: float = 0.0
    burst: int = 0

    def __bool__(self) -> bool:
        return bool(self.message or self.frame or self.rate)


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Terms:
    """Times are seconds; 0: off. `strict`: what breaks the protocol is closed with 1002, and not left alone.

    `ping` is how long a side may say nothing before it is pinged, `ping_timeout` how long it may then say nothing;
    `reauth` is how often the subrequest to `reauth_uri` is made, with the code for a refusal.
    """

    strict: bool = False
    ping: float = 0.0
    ping_timeout: float = 10.0
    ping_client: bool = False
    ping_backend: bool = False
    from_client: Limits = field(default=NO_LIMITS)
    from_backend: Limits = field(default=NO_LIMITS)
    lifetime: float = 0.0
    lifetime_jitter: float = 0.0
    lifetime_code: int = 1001
    reauth: float = 0.0
    reauth_uri: str = ""
    reauth_code: int = 1008
    close_timeout: float = 5.0

    def plain(self) -> dict[str, Any]:
        """As numbers and text."""
        return asdict(self)


WATCHED = Terms()
"""Frames are looked at, and nothing more is asked for."""


@lru_cache(256)
def shared(terms: Terms) -> Terms:
    """One instance for all tunnels with the same terms."""
    return terms


def terms_of(plain: dict[str, Any]) -> Terms:
    """From what `Terms.plain` gave. Raises `TypeError` where it does not fit."""
    own = dict(plain)
    own["from_client"] = Limits(**own["from_client"])
    own["from_backend"] = Limits(**own["from_backend"])
    return shared(Terms(**own))
