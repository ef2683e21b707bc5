"""What a `websocket_admission` says."""

from __future__ import annotations

from dataclasses import dataclass
from random import uniform


@dataclass(frozen=True, slots=True)
class AdmissionRule:
    """At most `rate` handshakes begin in a second, and `in_progress` are under way at once; 0 for no bound.

    Others wait for `queue` seconds. Who waits in vain gets a 503 that asks to come back after a time between both of
    `retry_after`, or with `code` 1013 a WebSocket that is closed with that.
    """

    rate: float = 0.0
    in_progress: int = 0
    queue: float = 10.0
    code: int = 503
    retry_after: tuple[float, float] = (5.0, 30.0)
    zone: str = ""

    def come_back(self) -> int:
        """Return after how many seconds to come back: for each another time, so that not all do so at once."""
        return max(1, round(uniform(*self.retry_after)))
