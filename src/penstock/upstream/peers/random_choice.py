"""`random`: a peer by chance, or the better of two (nginx: ngx_http_upstream_random_module)."""

from __future__ import annotations

from random import randrange
from typing import TYPE_CHECKING

from penstock.upstream.peers.hashing import Hashed

if TYPE_CHECKING:
    from penstock.upstream.peers.peers import Peer, PeerSet


class Random(Hashed):
    """A balancer that chooses by chance, according to weight."""

    __slots__ = ()

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        """Return a peer by chance, as likely as its weight says; None if it may not be used."""
        self.hash = randrange(peers.weight)
        return self.weighted(peers, now)


class RandomTwo(Hashed):
    """A balancer that takes two by chance, and of them the one that carries less for its weight. Where there is one
    only, that."""

    __slots__ = ()

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        """Take two by chance, and return that with the lesser load; None if one is unfit, or both are the same."""
        self.hash = randrange(peers.weight)
        one = self.weighted(peers, now)
        self.hash = randrange(peers.weight)
        other = self.weighted(peers, now)
        if one is None or other is None or one is other:
            return None
        return other if one.active * other.weight > other.active * one.weight else one
