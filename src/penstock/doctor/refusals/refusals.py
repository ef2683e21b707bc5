"""Why a WebSocket handshake was answered with something other than 101: what an answer gives away, and what to do.

`causes(sent, got)` looks at a handshake as it reached whoever answered it, at the answer, and (where a proxy stands
between) at what the client had asked the proxy. It says every likely cause, the likeliest first. Nothing here reads a
socket or a configuration: the running proxy and `penstock probe` share it.
"""

from __future__ import annotations

from penstock.doctor.refusals.seen import what_the_body_says, what_was_lost
from penstock.doctor.refusals.statuses import BY_STATUS, by_class
from penstock.doctor.refusals.terms import Cause, RefusedHandshake, Said, described, excerpt

__all__ = ["Cause", "RefusedHandshake", "Said", "causes", "described", "excerpt"]


def causes(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None = None) -> list[Cause]:
    """Return every likely cause, the likeliest first, never none.

    `sent` is what the one who answered was asked; `client` what the client had asked a proxy that then sent `sent`
    (None where there is no proxy between).
    """
    found: list[Cause] = []
    for rule in (what_was_lost, what_the_body_says, *BY_STATUS.get(got.status, ()), by_class):
        for cause in rule(sent, got, client):
            if all(other.id != cause.id for other in found):
                found.append(cause)
    found.sort(key=lambda cause: not cause.sure)
    return found
