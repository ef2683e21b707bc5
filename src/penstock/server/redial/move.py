"""Tunnels that are given another backend, spread over a window: for a server that is drained, or to even a group out.
Event streams are, too, where `event_stream_redial` stands.

Who has no `websocket_redial`, or is closing, stays. One that finds nobody else stays, too, unless it is said what to do
`instead`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from penstock.modules.upstream.steering import SteeringRefused, find_group
from penstock.net.relay.tunnel import Tunnel
from penstock.observe.selection import TunnelSelection
from penstock.server.redial.session import RedialConversation
from penstock.server.tunnel_list import seen
from penstock.server.websocket.drain import Drain, dismiss
from penstock.upstream.exchange.upgrade import Parts, address_parts
from penstock.websocket.close_reasons import Why

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.observe.selection import ToldTunnels
    from penstock.server.service import Service
    from penstock.server.websocket.drain import Drained

LONGEST = 86400.0
"""Seconds that a window may have."""


class Movable(Protocol):
    """A WebSocket or an event stream that may be given another backend."""

    @property
    def address(self) -> Parts:
        """Return where its backend is; nothing where there is none."""
        ...

    @property
    def may_move(self) -> bool:
        """Return whether it has a backend, and may have another."""
        ...

    @property
    def moving(self) -> bool:
        """Return whether it is being given another."""
        ...

    def change_backend(self, avoided: frozenset[Parts], instead: Callable[[], None] | None = None) -> bool:
        """Begin to look for another backend, which is none of these, while this one serves; `instead` is done if there
        is none. Return whether it has begun."""
        ...


def movable(tunnel: Drained) -> Movable | None:
    """Return what can be given another backend, now or at another time; None where nothing can."""
    if not isinstance(tunnel, Tunnel):
        return tunnel
    talk = getattr(tunnel.owner, "conversation", None)
    return talk if isinstance(talk, RedialConversation) else None


class MoveAway(Drain):
    """A drain that closes nothing: `avoided` are the addresses of peers that nobody is to come to."""

    doing, done = "moving", "moved"

    def __init__(
        self,
        loop: Loop,
        tunnels: Iterable[Drained],
        window: float,
        code: int,
        avoided: frozenset[Parts],
        *,
        what: str,
        why: Why | None = None,
    ) -> None:
        """Begin. With a `why`, tunnels that nobody else takes are closed with `code`."""
        self._avoided = avoided
        tunnels = list(tunnels)
        self._addresses = {tunnel: found.address for tunnel in tunnels if (found := movable(tunnel)) is not None}
        super().__init__(loop, tunnels, window, code, what=what, why=why or Why.DRAIN)
        self._closes = why is not None

    @property
    def left(self) -> int:
        """Count the tunnels that wait for their turn, or are under way."""
        known = (movable(tunnel) for tunnel in self._known if tunnel.reason is None)
        return len(self._plan) + len(self._due) + sum(each is not None and each.moving for each in known)

    def part(self, tunnel: Drained) -> bool:
        """Let one go. One that is on its way already may come back to where it was, and is looked at again."""
        found = movable(tunnel)
        instead = partial(dismiss, tunnel, self._why, self._code) if self._closes else None
        if found is not None and found.moving:
            return False
        if found is not None and found.address != self._addresses.get(tunnel):
            return True
        if found is not None and found.may_move:
            found.change_backend(self._avoided, instead)
        elif instead is not None:
            instead()
        return True


def split(tunnels: Iterable[Drained]) -> tuple[list[Drained], list[Drained]]:
    """Split tunnels: those that may have another backend, and the others."""
    may: list[Drained] = []
    others: list[Drained] = []
    for tunnel in tunnels:
        found = movable(tunnel)
        (may if found is not None and (found.may_move or found.moving) else others).append(tunnel)
    return may, others


def send_away(
    loop: Loop, tunnels: Iterable[Drained], window: float, code: int, avoided: frozenset[Parts], *, what: str, why: Why
) -> Drain | None:
    """Give those another backend that may have one, and close the others; the second drain, None if there is none."""
    may, others = split(tunnels)
    if may:
        MoveAway(loop, may, window, code, avoided, what=what, why=why)
    return Drain(loop, others, window, code, what=what, why=why) if others else None


async def move_tunnels(service: Service, question: dict[str, object]) -> ToldTunnels:
    """Do what somebody asks by the control socket: `select` and `spread` are those of closing; of the tunnels that are
    meant a `share` moves, and to none of the peers in `avoid`. Raises `ValueError` with words for whoever asks."""
    selection = TunnelSelection.read(question.get("select", {}))
    spread, share, avoid = question.get("spread", 0), question.get("share", 1.0), question.get("avoid", [])
    if not selection.upstream or not selection.peer:
        raise ValueError("whose tunnels are to move: an upstream and a server are wanted")
    if not isinstance(spread, (int, float)) or not 0 <= spread <= LONGEST:
        raise ValueError("a spread is between no time and a day")
    if not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise ValueError("a share is more than 0, and 1 at most")
    if not isinstance(avoid, list):
        raise ValueError("those to avoid are a list")
    try:
        peers = find_group(service.plan, selection.upstream).peers
    except SteeringRefused as refused:
        raise ValueError(str(refused)) from None
    avoided = frozenset(address_parts(peer.address) for peer in peers if peer.name in avoid)
    found = [tunnel async for tunnel, entry in seen(service.loop) if selection.admits(entry)]
    if share < 1:
        found = [each for each in found if isinstance(each, Tunnel)]  # a server's share is counted in tunnels
    may, others = split(found)
    meant = may[: int(len(may) * share + 0.5)]
    if meant:
        what = f"tunnels of {selection.peer}, as was asked by hand"
        MoveAway(service.loop, meant, float(spread), 0, avoided, what=what)
    told: dict[str, object] = {"pid": os.getpid(), "open": len(service.loop.tunnels), "matched": len(meant)}
    return {**told, "staying": len(others)}
