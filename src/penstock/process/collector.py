"""The collector of cycles: what only CPython's can do is asked of it where it is there, and left out elsewhere."""

from __future__ import annotations

import gc
import sys


def set_aside() -> None:
    """Keep what there is now out of collections to come; it is freed nevertheless when nobody has it."""
    freeze = getattr(gc, "freeze", None)
    if freeze is not None:
        freeze()


def bring_back() -> None:
    """Let what was set aside be looked at again."""
    unfreeze = getattr(gc, "unfreeze", None)
    if unfreeze is not None:
        unfreeze()


def collect_after(*thresholds: int) -> None:
    """Let a collection begin after so many objects that were made and not freed, of each generation."""
    set_threshold = getattr(gc, "set_threshold", None)
    if set_threshold is not None:
        set_threshold(*thresholds)


def blocks() -> int:
    """Count the blocks of memory in use; 0 where nobody counts them."""
    count = getattr(sys, "getallocatedblocks", None)
    return 0 if count is None else count()
