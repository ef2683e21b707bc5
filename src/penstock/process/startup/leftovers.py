"""What a start leaves behind: memory that nothing has any more, and that every worker would take along."""

from __future__ import annotations

import ctypes
import gc
import sys


def drop_leftovers() -> None:
    """Give memory back before workers are forked: what imports remember of folders, and freed blocks that the C library
    keeps for itself (malloc_trim(3), where it has that)."""
    sys.path_importer_cache.clear()  # the next import looks again
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
