"""Choosing a peer for a handshake that has to be let in first: before that there is none for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.upstream.errors import FaultSide, ProxyError
from penstock.upstream.peers.extended import ExtendedBalancer
from penstock.websocket.handshake import is_handshake

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.upstream.admission.gate import Gate
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer


class Admitted:
    """A handshake that was let in, until its end: the answer, or the end of its request. Leaving again does nothing."""

    __slots__ = ("_gate", "_request")

    def __init__(self, gate: Gate, request: Request) -> None:
        self._gate: Gate | None = gate
        self._request: Request | None = request
        request.at_end(self.leave)

    def leave(self) -> None:
        """Be under way no more."""
        gate, self._gate = self._gate, None
        request, self._request = self._request, None
        if gate is not None:
            gate.leave()
        if request is not None and request.endings is not None and self.leave in request.endings:
            request.endings.remove(self.leave)  # a tunnel may be open for weeks


ADMITTED: Key[dict[str, Admitted]] = Key("admitted")
"""Where a request keeps what has let it in, by the name of the gate."""


class NotAdmitted(ProxyError):
    """Raised where a handshake was not let in in time."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(FaultSide.UPSTREAM, 503, "", "", level="info")
        self.gate = gate


def has_to_wait(request: Request, gate: Gate) -> bool:
    """Return whether a request is a handshake that has not been let in."""
    if request.parent is not None or not is_handshake(request.head):
        return False
    return request.contexts is None or gate.name not in request.context(ADMITTED, dict)


async def let_in(request: Request, gate: Gate) -> Admitted:
    """Wait until a handshake is let in. Raises `NotAdmitted`."""
    if not await gate.enter(request.connection.client_address):
        raise NotAdmitted(gate)
    admitted = request.context(ADMITTED, dict)[gate.name] = Admitted(gate, request)
    return admitted


class Admits:
    """The part of a selection that has nobody for who has to wait. It stands before the balancer."""

    __slots__ = ()
    group: Group
    request: Request | None

    def next(self, now: float) -> Peer | None:
        """Take the next peer, if the request has been let in."""
        if self._outside():
            return None
        peer: Peer | None = super().next(now)  # type: ignore[misc]
        return peer

    def last_resort(self, now: float) -> Peer | None:
        """Take one that might do, if the request has been let in."""
        if self._outside():
            return None
        peer: Peer | None = super().last_resort(now)  # type: ignore[misc]
        return peer

    def make_final(self, peer: Peer) -> None:
        """Note that a tunnel has begun."""
        self._leave()
        super().make_final(peer)  # type: ignore[misc]

    def done(self, peer: Peer) -> None:
        """Note that there was an answer."""
        self._leave()
        super().done(peer)  # type: ignore[misc]

    def _outside(self) -> bool:
        gate = self.group.admission
        return gate is not None and self.request is not None and has_to_wait(self.request, gate)

    def _leave(self) -> None:
        gate, request = self.group.admission, self.request
        if gate is not None and request is not None and request.contexts is not None:
            admitted = request.context(ADMITTED, dict).get(gate.name)
            if admitted is not None:
                admitted.leave()


class Admitting(ExtendedBalancer):
    """The balancer of a group with bounds, over another."""

    mixin = Admits
    __slots__ = ()
