"""A worker as the master knows it, and the moment from which workers serve."""

from __future__ import annotations

import os
import select
from signal import SIGINT, SIGQUIT, SIGTERM, sigpending
from time import monotonic

from penstock.process.channel import Channel

READY_WITHIN = 5.0
"""Seconds that new workers have to begin before the old ones are sent away."""

LEAVE = frozenset({SIGTERM, SIGINT, SIGQUIT})


class Child:
    """A worker as the master knows it. `failures` counts deaths in a row in its place."""

    __slots__ = ("cell", "channel", "failures", "index", "leaving", "pid", "started")

    def __init__(self, pid: int, index: int, failures: int, channel: Channel, cell: int) -> None:
        self.pid = pid
        self.cell = cell
        self.channel = channel
        self.index = index
        self.failures = failures
        self.started = monotonic()
        self.leaving = False


def wait_until_begun(ready: int, count: int) -> None:
    """Each worker writes a byte when it accepts; one that dies does not, and closes the pipe. Not for ever, and not
    when somebody wants the master to go."""
    deadline = monotonic() + READY_WITHIN
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    while count > 0 and monotonic() < deadline and not sigpending() & LEAVE:
        if poll.poll(50):
            told = os.read(ready, count)
            if not told:
                return
            count -= len(told)
