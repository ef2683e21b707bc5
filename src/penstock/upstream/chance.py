"""`random`: a peer by chance, or the better of two (nginx: ngx_http_upstream_random_module)."""

from __future__ import annotations

from random import randrange
from typing import TYPE_CHECKING

from penstock.upstream.hashing import Hashed

if TYPE_CHECKING:
    from penstock.upstream.peers import Peer, PeerSet


class Random(Hashed):
    """By chance, according to weight."""

    __slots__ = ()

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        self.hash = randrange(peers.weight)
        return self.weighted(peers, now)


class RandomTwo(Hashed):
    """Of two by chance, the one that carries less for its weight. Where there is one only, that."""

    __slots__ = ()

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        self.hash = randrange(peers.weight)
        one = self.weighted(peers, now)
        self.hash = randrange(peers.weight)
        other = self.weighted(peers, now)
        if one is None or other is None or one is other:
            return None
        return other if one.active * other.weight > other.active * one.weight else one
