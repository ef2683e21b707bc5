"""Whether one side is still there: when to ask it, and when to give it up. Sans-IO; times are monotonic seconds.

What a side sends is a sign of life, whatever it is: one that is in the middle of a long frame can not answer a ping. So
is what it takes: behind a slow line, a ping waits for its turn.
"""

from __future__ import annotations

import os
from math import inf

TOKEN = 8


class Pulse:
    """The pings to one side. `asked` is when the one that waits for its answer was sent, 0 if none does, `since` when
    it last seemed to be on its way, `queued` how many bytes were then before it; `rtt` is what the last answer took,
    `sent` counts them."""

    __slots__ = ("asked", "every", "patience", "queued", "rtt", "sent", "since")

    def __init__(self, every: float, patience: float) -> None:
        """every: seconds of silence before a ping, 0 for never; patience: seconds that it may go unanswered."""
        self.every = every
        self.patience = patience
        self.asked = 0.0
        self.since = 0.0
        self.queued = 0
        self.rtt: float | None = None
        self.sent = 0

    def due(self, heard: float) -> float:
        """When there is something to do, if nothing is heard until then. `heard` is when something was last."""
        if not self.every:
            return inf
        return max(self.since, heard) + self.patience if self.asked else heard + self.every

    def ask(self, now: float, queued: int) -> bytes:
        """The payload of a ping that is sent now, behind so many bytes that have not arrived yet."""
        self.asked = self.since = now
        self.queued = queued
        self.sent += 1
        return os.urandom(TOKEN)

    def takes(self, now: float, queued: int) -> bool:
        """Whether the side takes what it is sent, if slowly, so that it has more time. `queued` as it is now."""
        if not 0 < queued < self.queued:
            return False
        self.queued = queued
        self.since = now
        return True

    def answered(self, now: float) -> None:
        """The pong has come."""
        self.rtt = max(0.0, now - self.asked)
        self.asked = 0.0

    def state(self) -> tuple[float, float | None, int]:
        """What has come of it, for `restore`."""
        return self.asked, self.rtt, self.sent

    def restore(self, state: tuple[float, float | None, int]) -> None:
        """Go on where another stopped."""
        self.asked, self.rtt, self.sent = state
        self.since = self.asked
