"""Hints for who reads the log: given once, and not by each worker and after each reload again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.shared.hints import HINTS

if TYPE_CHECKING:
    from penstock.http.request import Request

PAUSE = 60.0
"""Seconds between two hints of one kind about one location."""


def may_hint(request: Request, what: str) -> bool:
    """Return whether a hint about a request's location may be given: no worker has given one lately, by this
    configuration or one before it."""
    service = request.connection.service
    hints = service.plan.shared.get(HINTS)
    about = f"{what} {request.server.name} {request.location.name}"
    return hints is None or hints.may_say(about, service.timers.now, PAUSE)
