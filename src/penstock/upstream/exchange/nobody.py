"""In place of a client's stream, where nobody waits for an answer: copies of requests, and what is fetched for a cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.net.loop import Loop


class Nobody:
    """It never hangs up."""

    __slots__ = ("hot", "loop", "on_hangup")

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.hot = loop.hot
        self.on_hangup: Callable[[], None] | None = None
