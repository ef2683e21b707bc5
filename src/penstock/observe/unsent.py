"""What a worker has still to send when it is to go: it waits a moment for it."""

from __future__ import annotations

from typing import Protocol


class Unsent(Protocol):
    """Somebody who has something to send."""

    def hurry(self) -> None:
        """Send it now, without waiting for more."""


UNSENT: set[Unsent] = set()
"""All of this process; whoever has nothing left takes itself out."""
PATIENCE = 3.0
"""Seconds for which a worker waits, at most."""
