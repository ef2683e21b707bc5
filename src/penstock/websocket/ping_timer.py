"""Whether one side is still there: when to ask it, and when to give it up. Sans-IO; times are monotonic seconds.

What a side sends is a sign of life, whatever it is: one that is in the middle of a long frame can not answer a ping. So
is what it takes of the bytes before a ping: behind a slow line, a ping waits for its turn. What comes to it after that
is none: the kernel of a program that stands still takes bytes for a long time.
"""

from __future__ import annotations

import os
from math import inf

TOKEN = 8


class Pulse:
    """The pings to one side. `asked` is when the one that waits for its answer was sent, 0 if none does, `since` when
    it last seemed to be on its way; `rtt` is what the last answer took, `sent` counts them. `mute`: no ping could be
    sent, since the side takes nothing, and that it takes something again is waited for.

    `arrived` says how many bytes had come to it when that was last looked at, `goal` how many will have when the ping
    has; both count from the same beginning, whatever that is.
    """

    __slots__ = ("arrived", "asked", "every", "goal", "mute", "patience", "rtt", "sent", "since")

    def __init__(self, every: float, patience: float) -> None:
        """Begin with `every`, seconds of silence before a ping, 0 for never; `patience`, seconds that it may go
        unanswered."""
        self.every = every
        self.patience = patience
        self.asked = 0.0
        self.since = 0.0
        self.arrived = 0
        self.goal = 0
        self.mute = False
        self.rtt: float | None = None
        self.sent = 0

    def due(self, heard: float) -> float:
        """Return when there is something to do, if nothing is heard until then. `heard` is when something was last."""
        if not self.every:
            return inf
        return max(self.since, heard) + self.patience if self.asked else heard + self.every

    def ask(self, now: float) -> bytes:
        """Return the payload of a ping that is sent now; `sent_behind` tells behind what."""
        self.asked = self.since = now
        self.mute = False
        self.sent += 1
        return os.urandom(TOKEN)

    def wait(self, now: float, arrived: int, before: int) -> None:
        """Note that no ping can be sent, for the side takes nothing: it has as long as for an answer to take something.
        """
        self.asked = self.since = now
        self.mute = True
        self.sent_behind(arrived, before)

    def sent_behind(self, arrived: int, before: int) -> None:
        """Note how many bytes had come to the side, and how many are under way before and with what was sent last."""
        self.arrived = arrived
        self.goal = arrived + before

    def spare(self, now: float) -> None:
        """Give the side all its time once more: its answer, if there is one, has not been looked for."""
        self.since = now

    def takes(self, now: float, arrived: int) -> bool:
        """Return whether the side takes what it is sent, if slowly, so that it has more time. `arrived` as it is now.
        """
        if not self.arrived < min(arrived, self.goal):
            return False
        self.arrived = arrived
        self.since = now
        return True

    def answered(self, now: float) -> None:
        """Note that the pong has come."""
        self.rtt = max(0.0, now - self.asked)
        self.asked = 0.0

    def state(self) -> tuple[float, float | None, int]:
        """Return what has come of it, for `restore`."""
        return 0.0 if self.mute else self.asked, self.rtt, self.sent

    def restore(self, state: tuple[float, float | None, int]) -> None:
        """Go on where another stopped."""
        self.asked, self.rtt, self.sent = state
        self.since = self.asked
