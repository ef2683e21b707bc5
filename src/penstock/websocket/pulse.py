"""Whether one side is still there: when to ask it, and when to give it up. Sans-IO; times are monotonic seconds.

What a side sends is a sign of life, whatever it is: one that is in the middle of a long frame can not answer a ping.
"""

from __future__ import annotations

import os
from math import inf

TOKEN = 8


class Pulse:
    """The pings to one side. `asked` is when the one that waits for its answer was sent, 0 if none does; `rtt` is what
    the last answer took, `sent` counts them."""

    __slots__ = ("asked", "every", "patience", "rtt", "sent")

    def __init__(self, every: float, patience: float) -> None:
        """every: seconds of silence before a ping, 0 for never; patience: seconds that it may go unanswered."""
        self.every = every
        self.patience = patience
        self.asked = 0.0
        self.rtt: float | None = None
        self.sent = 0

    def due(self, heard: float) -> float:
        """When there is something to do, if nothing is heard until then. `heard` is when something was last."""
        if not self.every:
            return inf
        return max(self.asked, heard) + self.patience if self.asked else heard + self.every

    def ask(self, now: float) -> bytes:
        """The payload of a ping that is sent now."""
        self.asked = now
        self.sent += 1
        return os.urandom(TOKEN)

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
