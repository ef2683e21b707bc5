"""A worker as the master knows it, and the moment from which workers serve."""

from __future__ import annotations

import os
import select
import struct
from signal import SIGINT, SIGQUIT, SIGTERM, sigpending
from time import monotonic

from penstock.process.channel import Channel

_NUMBER = struct.Struct("I")
"""A process id, as it is written into a pipe: all of it or nothing."""

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


def tell_begun(ready: int) -> None:
    """Say, in a worker, that it accepts."""
    try:
        os.write(ready, _NUMBER.pack(os.getpid()))
    except BrokenPipeError:
        pass  # the master had no time to wait
    os.close(ready)


def wait_until_begun(ready: int, count: int, patience: float) -> set[int]:
    """Wait for so many workers to accept, and return their process ids. One that dies says nothing, and closes the
    pipe. Not longer than `patience`, and not when somebody wants the master to go."""
    begun: set[int] = set()
    deadline = monotonic() + patience
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    while len(begun) < count and monotonic() < deadline and not sigpending() & LEAVE:
        if poll.poll(50):
            told = os.read(ready, _NUMBER.size)
            if not told:
                break
            begun.update(_NUMBER.unpack(told))
    return begun
