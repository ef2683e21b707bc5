"""What there is of a redial while it is under way, and of the backend that a client does not have meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.http.request import Attempt
    from penstock.net.relay.held import HeldSide
    from penstock.server.redial.search import PeerSearch
    from penstock.upstream.exchange.upgrade import Parts, TakenPeer, Upgrade

LOST, MOVED = "lost", "moved"
"""Reasons of a redial, as a backend is told; a close code that came with the loss is one, too."""


class Absence:
    """`why` is what the next backend is told, `began` and `deadline` are monotonic seconds. `found` has switched
    protocols and waits, `held` stands for the backend's side. `instead` is done where a move comes to nothing. `lost`
    is the address of who was lost, `tried` are those that were asked. `due` is when somebody has to look again.

    `asked` is when the backend that is left was asked whether it has read all, `parted` when it was told goodbye; both
    `inf` before.
    """

    __slots__ = (
        *("asked", "began", "call", "deadline", "departed", "due", "found", "held", "instead", "lost", "parted"),
        *("tried", "why"),
    )

    def __init__(self, why: str, began: float, deadline: float, instead: Callable[[], None] | None = None) -> None:
        self.why = why
        self.began = began
        self.deadline = deadline
        self.instead = instead
        self.call: PeerSearch | None = None
        self.found: Upgrade | None = None
        self.held: HeldSide | None = None
        self.due = deadline
        self.asked = self.parted = inf
        self.lost: Parts = ()
        self.tried: list[Attempt] = []
        self.departed = False

    def stop(self) -> None:
        """Look for nobody any more, and let go of who was found."""
        call, self.call = self.call, None
        if call is not None:
            call.cancel()
        found, self.found = self.found, None
        if found is not None:
            found.close()


class NoBackend:
    """In place of the `TakenPeer` of a tunnel that has no backend: its slot was given back. It says who was lost."""

    __slots__ = ("_group", "module")

    declared = False
    peer = None
    stream = None
    rest = b""

    def __init__(self, lost: TakenPeer) -> None:
        self._group = str(lost.state()["group"])
        self.module = lost.module

    def state(self) -> dict[str, object]:
        """Return what `TakenPeer.state` does: a peer that is none."""
        return {"group": self._group, "peer": [], "sent": 0, "module": self.module}

    def ended(self, from_client: int, from_backend: int) -> None:
        """Do nothing: there is no peer to give back."""

    def leave(self) -> None:
        """Do nothing, likewise."""


def parts_of(upgraded: TakenPeer | NoBackend) -> Parts:
    """Return the address of a tunnel's peer."""
    peer = upgraded.state()["peer"]
    assert isinstance(peer, list)
    return tuple(peer)
