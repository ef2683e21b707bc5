"""What was set of servers while the program runs, in memory that all workers share.

Every worker goes by it when it takes a plan up, and when it is told that there is a newer version; it says in a row of
its own which one it goes by. By the name of the upstream in lower case, it is JSON that `upstream/peers/steering.py`
reads and makes.
"""

from __future__ import annotations

from penstock.config.key import Key
from penstock.shared.rows import Row, Rows
from penstock.shared.versioned_text import VersionedText

STEERING: Key[SteeringMemory] = Key("steering")
"""The key of the plan's `shared` under which it is, where there are upstreams."""


class SteeringMemory(VersionedText):
    """One text for all workers, and the version that each of them goes by."""

    __slots__ = ("_own", "rows")

    def __init__(self) -> None:
        super().__init__("steering", "all that is set")
        self.rows = Rows("steered", 1, 0)
        self._own: Row | None = None

    def follow(self, version: int) -> None:
        """Say that this worker goes by a version."""
        if self._own is None:
            self._own = self.rows.share()
        if self._own is not None:
            self._own.put([version])

    def followed(self, version: int) -> bool:
        """Return whether every worker goes by this version or a newer one."""
        return all(figures[0] >= version for figures in self.rows.living().values())
