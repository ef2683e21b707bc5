"""Views of the beginning of the worker's buffer: what has just been read, on its way out.

To make one takes some 800 instructions, much for a short message. Those of the lengths that short messages have are
kept once they have been asked for.
"""

from __future__ import annotations

from penstock.net.relay.side import VIEW

VIEWED = 512
VIEWS: list[memoryview | None] = [None] * VIEWED
"""By length; None where nobody has asked, and of 0. Together they take 100 KiB at the most."""


def view_of(count: int) -> memoryview:
    """Return a view of so many bytes, and keep it if it is short."""
    view = VIEW[:count]
    if count < VIEWED:
        VIEWS[count] = view
    return view
