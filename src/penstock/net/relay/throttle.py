"""A limit to how many bytes a second are read from a side (nginx: proxy_upload_rate, proxy_download_rate).

Nothing is kept for it: what is not read stays with the peer's kernel, which is told so by TCP.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from penstock.net.loop import IN
from penstock.net.relay.side import Side
from penstock.net.relay.views import SIZE
from penstock.net.timers import Alarm

SHORTEST = 0.001
"""Seconds of rest that are worth an alarm."""


class Throttle:
    """Reads for a side: no more than `rate` bytes in each second since it was made, counted from its first on.
    `resting`: the side is not read for the moment."""

    __slots__ = ("_alarm", "_began", "_rate", "_read", "_receive", "_secure", "_side", "resting")

    def __init__(self, side: Side, rate: int) -> None:
        """Takes the reading over, of a side that has been equipped."""
        self.resting = False
        self._side = side
        self._rate = rate
        self._read = 0
        self._began: float = side.hot.now
        self._receive: Callable[..., int] = side.receive
        self._secure = type(side) is not Side
        self._alarm = Alarm(side.tunnel.loop.timers, self._go_on)
        side.throttle = self
        side.receive = self

    # Any: a buffer, and for TLS its size before it.
    def __call__(self, *where: Any) -> int:
        """Read as the side would, and less. Raises what the side's own reading raises."""
        if self.resting:
            raise ssl.SSLWantReadError  # the rest of a long record, which TLS asks for at once
        due = self._rate * (int(self._side.hot.now - self._began) + 1) - self._read
        most = min(max(due, 1), SIZE)
        count = self._receive(most, where[1]) if self._secure else self._receive(where[0], most)
        self._read += count
        rest = count / self._rate
        if rest >= SHORTEST:
            self.resting = True
            self._side.settle()
            self._alarm.set(rest)
        return count

    def _go_on(self) -> None:
        side = self._side
        self.resting = False
        if side.fd < 0 or side.tunnel.paused:
            return
        side.settle()
        if side.mask & IN and side.mask > 0 and side.buffered():
            side.move()
