"""The worker's buffer, and views of its beginning: what has just been read, on its way out.

To make a view takes some 800 instructions, much for a short message. Those of the lengths that short messages have are
kept once they have been asked for.
"""

from __future__ import annotations

SIZE = 81920
BUFFER = bytearray(SIZE)
"""The one read buffer of the worker. Nothing stays in it between two events. 80 KiB: a message of 64 KiB fits with its
head, and so takes one turn instead of two, 30.6 us instead of 40.2 (experiments/relay_calls.py)."""

VIEW = memoryview(BUFFER)
VIEWED = 512
VIEWS: list[memoryview | None] = [None] * VIEWED
"""By length; None where nobody has asked, and of 0. Together they take 100 KiB at the most. Nobody releases one."""


def view_of(count: int) -> memoryview:
    """Return a view of so many bytes, and keep it if it is short."""
    view = VIEW[:count]
    if count < VIEWED:
        VIEWS[count] = view
    return view
