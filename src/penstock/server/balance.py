"""Whether this worker has taken more than its share of connections, so that others should go first for a moment.

The kernel wakes whoever sleeps, and a worker that happens to have a processor for itself takes more than the others.
With requests that does not matter; tunnels stay for days, and so does the imbalance that one burst of them has left.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.shared.rows import Row

SLACK = 16
"""So many more than the least busy worker is nothing to speak of; and, of large numbers, an eighth."""


class Balance:
    """Compares `live`, the connections of this worker, with what the others told last in their rows."""

    __slots__ = ("_live", "_row", "_waited_for")

    def __init__(self, row: Row, live: Callable[[], int]) -> None:
        self._row = row
        self._live = live
        self._waited_for: tuple[int, int] | None = None

    def ahead(self) -> bool:
        """Return whether to let the others go first. Nobody is waited for again who has taken nothing since."""
        live = self._live()
        self._row.put((live,))
        others = self._row.others()
        if not others:
            return False
        least, number = min(others)
        if live <= least + SLACK + least // 8 or self._waited_for == (least, number):
            return False
        self._waited_for = least, number
        return True
