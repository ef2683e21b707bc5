"""Letting a request wait (`limit_req`, `limit_rate`, `auth_delay`)."""

from __future__ import annotations

import asyncio
from errno import ECONNRESET

from penstock.http.request import Request
from penstock.net.errors import PeerGone
from penstock.net.fiber import current


async def delay(request: Request, seconds: float) -> None:
    """Go on in so many seconds. Raises `PeerGone` when the client does not want to wait."""
    stream, fiber = request.connection.stream, current()
    if stream.on_hangup is not None:
        # Who passes a backend's answer on is told already.
        await asyncio.sleep(seconds)
        return
    stream.on_hangup = lambda: fiber.interrupt(PeerGone(ECONNRESET))
    try:
        await asyncio.sleep(seconds)
    finally:
        stream.on_hangup = None
