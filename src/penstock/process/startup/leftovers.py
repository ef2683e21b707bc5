"""What a start leaves behind: memory that nothing has any more, and that every worker would take along."""

from __future__ import annotations

import gc
import sys

from penstock.shared.freed import give_back_freed


def drop_leftovers() -> None:
    """Give memory back before workers are forked: what imports remember of folders, and freed blocks."""
    sys.path_importer_cache.clear()  # the next import looks again
    gc.collect()
    give_back_freed()
