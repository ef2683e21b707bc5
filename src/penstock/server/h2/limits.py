"""What a client may cost us without asking for anything: each has a bound, and whoever passes it is sent away.

    rapid reset     streams that end before they were answered, by a RST_STREAM of either side (CVE-2023-44487, and the
                    client that makes us reset them, CVE-2025-8671)
    floods          PING, SETTINGS, PRIORITY, frames without content or of no known type (CVE-2019-9512, -9513, -9515,
                    -9518)
    overhead        all bytes against those that carried something, as nginx counts them
"""

from __future__ import annotations

from penstock.http.h2.events import DataReceived, Event, PriorityUpdated, StreamReset
from penstock.http.h2.wire import ConnectionFault, ErrorCodes
from penstock.net.timers import Timers

RESETS = 100
RESETS_A_SECOND = 20
SPARE_FRAMES = 1000
SPARE_FRAMES_A_SECOND = 100
OVERHEAD = 1 << 20


class Budget:
    """So many at once, and so many more each second."""

    __slots__ = ("_each_second", "_left", "_most", "_timers", "_when")

    def __init__(self, timers: Timers, most: int, each_second: int) -> None:
        self._timers = timers
        self._most = most
        self._each_second = each_second
        self._left = float(most)
        self._when = timers.now

    def spend(self) -> bool:
        """Take one; whether there was one."""
        now = self._timers.now
        self._left = min(self._most, self._left + (now - self._when) * self._each_second) - 1
        self._when = now
        return self._left >= 0


class FloodLimits:
    """The bounds of one connection. `most` is how many streams it may have at once."""

    __slots__ = ("_frames", "_refused", "_resets", "_timers", "_total", "most")

    def __init__(self, timers: Timers, most: int) -> None:
        self._timers = timers
        self.most = most
        self._resets: Budget | None = None
        self._frames: Budget | None = None
        self._refused = 0
        self._total = 0

    def event(self, event: Event) -> None:
        """Count a frame that asks for nothing. Raises `ConnectionFault`."""
        if type(event) is StreamReset:
            self.reset()
            return
        if self._frames is None:
            self._frames = Budget(self._timers, SPARE_FRAMES, SPARE_FRAMES_A_SECOND)
        if not self._frames.spend():
            what = {DataReceived: "empty DATA", PriorityUpdated: "PRIORITY"}.get(type(event), "control")
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, f"client sent too many {what} frames")

    def reset(self) -> None:
        """Count a stream that was reset before it had been answered. Raises `ConnectionFault`."""
        if self._resets is None:
            self._resets = Budget(self._timers, max(self.most, RESETS), RESETS_A_SECOND)
        if not self._resets.spend():
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client reset too many streams")

    def refused(self) -> None:
        """Count a stream that was refused. Raises `ConnectionFault`."""
        self._refused += 1
        if self._refused > max(self.most, RESETS) + 1:
            raise ConnectionFault(ErrorCodes.NO_ERROR, "client sent too many refused streams")

    def read(self, count: int, payload: int) -> None:
        """Count so many bytes that came; of all that ever came, so many were for somebody. Raises `ConnectionFault`."""
        self._total += count
        if self._total // 8 > payload + OVERHEAD:
            raise ConnectionFault(ErrorCodes.NO_ERROR, "http2 flood detected")
