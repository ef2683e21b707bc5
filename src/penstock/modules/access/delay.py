"""Letting a request wait (`limit_req`, `limit_rate`, `auth_delay`)."""

from __future__ import annotations

import asyncio
from errno import ECONNRESET

from penstock.http.request import Outcome, Request
from penstock.net.errors import PeerGone
from penstock.net.fiber import current
from penstock.net.loop import running_loop
from penstock.net.timers import Alarm
from penstock.plan.later import Later


class Delay(Later[Outcome]):
    """A request is let through in so many seconds."""

    __slots__ = ("_alarm",)

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._alarm = Alarm(running_loop().timers, self)
        self._alarm.set(seconds)

    def __call__(self) -> None:
        """The time is up."""
        self._alarm.close()
        self.say(None)

    def drop(self) -> None:
        """Let nobody through any more."""
        self._alarm.close()
        super().drop()


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
