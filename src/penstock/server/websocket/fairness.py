"""Who sends frames that are much work and few bytes is read a little at a time, so that everybody else has a turn.

A frame of control, or a part of a message, is looked at by itself: a microsecond, for perhaps six bytes. A buffer full
of them would hold a worker up for 17 ms, and twenty such clients for a third of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.net.relay.side import Side

COSTLY = 1000
"""Frames in one read that were looked at by themselves, from which on less is read."""


def share(side: Side, frames: int) -> None:
    """Go by what the last read from `side` has cost: so many frames were looked at by themselves."""
    if frames > COSTLY and not side.little:
        side.read_little()
