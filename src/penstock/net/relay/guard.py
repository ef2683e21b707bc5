"""Who lets a tunnel end in a way of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from penstock.net.relay.side import Side
    from penstock.net.relay.tunnel import End


class TunnelGuard(Protocol):
    """Whoever lets a tunnel end in a way of its own, in bounded time, by `close`."""

    def ends(self, reason: End, side: Side | None) -> bool:
        """Decide about a tunnel that is about to end; `side` is the one that has ended, was reset or is stuck, if it is
        one side's doing. True: not now. It must not be closed before this returns."""

    def refused(self, side: Side, untaken: int) -> None:
        """Note that `side` takes no more bytes, with so many waiting for it."""

    def drained(self, side: Side) -> None:
        """Note that `side` has taken all that waited for it."""
