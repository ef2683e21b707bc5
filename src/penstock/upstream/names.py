"""Host names looked up while requests wait: in a thread, remembered for a while.

Stands in for a resolver: it does not know how long an answer holds, so it asks again after `HOLDS` seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.addresses import Address
from penstock.net.names import lookup

if TYPE_CHECKING:
    from penstock.net.loop import Loop

HOLDS = 30.0
FAILURE_HOLDS = 3.0
MOST = 4096


class Names:
    """What one worker knows of names."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, list[str]]] = {}

    async def addresses(self, host: str, port: int, loop: Loop) -> list[Address]:
        """The addresses of a name; empty if it has none."""
        known = self._known.get(host)
        now = loop.hot.now
        if known is None or known[0] <= now:
            try:
                found = await loop.run_in_executor(None, lookup, host)
            except (OSError, UnicodeError):
                found = []
            if len(self._known) >= MOST:
                self._known.clear()
            known = self._known[host] = (loop.hot.now + (HOLDS if found else FAILURE_HOLDS), found)
        return [Address("inet6" if ":" in text else "inet", text, port) for text in known[1]]
