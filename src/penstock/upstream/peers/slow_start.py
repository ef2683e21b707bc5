"""Balancers for groups in which a server that comes back gets its share little by little (`slow_start`).

Round robin lets it take part in as many choices as its share says, by chance. `least_conn` takes its weight for so much
smaller, so that an empty one is not filled at once.
"""

from __future__ import annotations

from random import random
from time import monotonic
from typing import TYPE_CHECKING

from penstock.upstream.peers.balancers import LeastConn, PeerSelection, heaviest

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.upstream.peers.balancers import Balancer
    from penstock.upstream.peers.peers import Peer, PeerSet

LEAST = 0.01
"""The share of a server that comes back at this moment: some request has to be the first."""


def weight_of(peer: Peer, now: float) -> float:
    """Return the weight of a peer, as far as it has come back."""
    slow = peer.options.slow_start
    return peer.weight * max(LEAST, peer.health.share_of(slow, now)) if slow else peer.weight


class ComesBack:
    """The part of a selection that notes when a peer that had failed is used again. It stands before the balancer."""

    __slots__ = ()

    def done(self, peer: Peer) -> None:
        """Give a peer back; if that forgives its failures, its slow start begins."""
        options = peer.options
        out = options.max_fails and peer.fails >= options.max_fails
        super().done(peer)  # type: ignore[misc]
        if out and not peer.fails:
            peer.health.returned = monotonic()


class SlowRoundRobin(ComesBack, PeerSelection):
    """Weighted round robin, in which those take part rarely that have just come back."""

    __slots__ = ()

    def choose(self, peers: PeerSet, now: float) -> Peer | None:
        """Choose by weighted round robin, where who has just come back is often left out."""
        tried = self.tried
        fit = [peer for peer in peers.peers if peer.available(now) and (tried is None or peer not in tried)]
        warm = [peer for peer in fit if random() * peer.weight < weight_of(peer, now)]
        return heaviest(warm or fit, now) if fit else None


class SlowLeastConn(ComesBack, LeastConn):
    """`least_conn`, in which the weight of those is small that have just come back."""

    __slots__ = ()

    def choose(self, peers: PeerSet, now: float) -> Peer | None:
        """Choose the peer with the fewest requests and tunnels for the weight that it has by now."""
        tried = self.tried
        least: list[Peer] = []
        lowest = 0.0
        for peer in peers.peers:
            if (tried is not None and peer in tried) or not peer.available(now):
                continue
            load = peer.active / weight_of(peer, now)
            if least and load > lowest:
                continue
            if least and load < lowest:
                least.clear()
            lowest = load
            least.append(peer)
        return heaviest(least, now) if least else None


_SLOW: dict[type, Balancer] = {
    PeerSelection: SlowRoundRobin,
    LeastConn: SlowLeastConn,
    SlowRoundRobin: SlowRoundRobin,
    SlowLeastConn: SlowLeastConn,
}


def starting_slowly(balancer: Balancer) -> Balancer:
    """Return the balancer that a group has once a server of it starts slowly: the same one where it can do that. One
    that is more than a class of selections says so itself (`slowly`).

    Raises `ValueError` where the method has no weights that could be smaller for a while.
    """
    slowly: Callable[[], Balancer] | None = getattr(balancer, "slowly", None)
    if slowly is not None:
        return slowly()
    slow = _SLOW.get(balancer) if isinstance(balancer, type) else None
    if slow is None:
        raise ValueError('balancing method does not support parameter "slow_start"')
    return slow
