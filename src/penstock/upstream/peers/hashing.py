"""Balancers that send what belongs together to one peer: `ip_hash`, `hash`, and `hash ... consistent`.

They choose the peers that nginx chooses, so that a change of proxy moves nobody. When twenty places have been looked at
in vain, round robin decides.
"""

from __future__ import annotations

from bisect import bisect_left
from ipaddress import IPv6Address
from typing import TYPE_CHECKING
from zlib import crc32

from penstock.upstream.peers.balancers import PeerSelection, heaviest

if TYPE_CHECKING:
    from penstock.config.variables import Template
    from penstock.http.request import Request
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer, PeerSet

MOST_MISSES = 20
POINTS = 160
"""Points on the circle for each unit of weight."""


class Hashed(PeerSelection):
    """The common part of balancers by a hash: places are looked at until one is fit."""

    __slots__ = ("hash", "misses")

    def __init__(self, group: Group, request: Request) -> None:
        super().__init__(group, request)
        self.hash = 0
        self.misses = 0

    def choose(self, peers: PeerSet, now: float) -> Peer | None:
        """Choose the peer of the first place that is fit; round robin decides after too many that are not."""
        while self.misses <= MOST_MISSES and len(peers.peers) > 1:
            peer = self.place(peers, now)
            if peer is None:
                self.misses += 1
                continue
            if now - peer.checked > peer.options.fail_timeout:
                peer.checked = now
            return peer
        return super().choose(peers, now)

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        """Return the peer of the next place; None if it may not be used."""
        raise NotImplementedError

    def fit(self, peer: Peer, now: float) -> bool:
        """Return whether a peer has not been tried and may be given a request."""
        return (self.tried is None or peer not in self.tried) and peer.available(now)

    def weighted(self, peers: PeerSet, now: float) -> Peer | None:
        """Return the peer that `hash` falls on when each is as wide as its weight."""
        at = self.hash % peers.weight
        for peer in peers.peers:
            at -= peer.weight
            if at < 0:
                return peer if self.fit(peer, now) else None
        return None


class IpHash(Hashed):
    """A balancer by the client's address: the first three bytes of an IPv4 address, all of an IPv6 one."""

    __slots__ = ("_address",)

    def __init__(self, group: Group, request: Request) -> None:
        super().__init__(group, request)
        self.hash = 89
        self._address = packed(request.connection.client_address)

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        """Hash the address on, nginx's way, and return the peer at that place; None if it may not be used."""
        hashed = self.hash
        for byte in self._address:
            hashed = (hashed * 113 + byte) % 6271
        self.hash = hashed
        return self.weighted(peers, now)


def packed(address: str) -> bytes:
    """Return the bytes of a client's address that count."""
    if address.startswith("unix:"):
        return b"\0\0\0"
    if ":" in address:
        return IPv6Address(address.partition("%")[0]).packed
    return bytes(map(int, address.split(".")[:3]))


class ByKey(Hashed):
    """A balancer by a text, in the way of Cache::Memcached. An empty text is left to round robin."""

    __slots__ = ("_key", "_rehash")

    def __init__(self, group: Group, request: Request, key: str) -> None:
        super().__init__(group, request)
        self._key = key.encode("latin-1")
        self._rehash = 0
        if not key:
            self.misses = MOST_MISSES + 1

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        """Hash the key with the number of the try before it, and return the peer at that place."""
        again = str(self._rehash).encode() if self._rehash else b""
        self._rehash += 1
        self.hash += crc32(again + self._key) >> 16 & 0x7FFF
        return self.weighted(peers, now)


class OnCircle(Hashed):
    """A balancer by a text, on a circle where each server has points: one server more moves few keys (ketama)."""

    __slots__ = ("_servers",)

    def __init__(self, group: Group, request: Request, key: str, circle: Circle) -> None:
        super().__init__(group, request)
        self._servers = circle.servers
        if not key:
            self.misses = MOST_MISSES + 1
        self.hash = bisect_left(circle.hashes, crc32(key.encode("latin-1")))

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        """Return the fit peer of the server at this point of the circle; None, and go on, if it has none."""
        server = self._servers[self.hash % len(self._servers)]
        same = [peer for peer in peers.peers if peer.server == server and self.fit(peer, now)]
        if not same:
            self.hash += 1
            return None
        return heaviest(same, now)


class Circle:
    """The points of a group's servers, in order."""

    __slots__ = ("hashes", "servers")

    def __init__(self, peers: list[Peer]) -> None:
        points: dict[int, str] = {}
        for peer in peers:
            host, port = _parts(peer.server)
            base = crc32(host.encode("latin-1") + b"\0" + port.encode("latin-1"))
            previous = 0
            for _ in range(peer.weight * POINTS):
                previous = crc32(previous.to_bytes(4, "little"), base)
                points.setdefault(previous, peer.server)
        self.hashes = sorted(points)
        self.servers = [points[each] for each in self.hashes]


def _parts(server: str) -> tuple[str, str]:
    """Split a server as it is written into host and port."""
    if server[:5].lower() == "unix:":
        return server[5:], ""
    host, colon, port = server.rpartition(":")
    return (host, port) if colon and "]" not in port else (server, "")


class HashBalancer:
    """The balancer of `hash key [consistent]`."""

    __slots__ = ("_circles", "_consistent", "_key")

    def __init__(self, key: Template, *, consistent: bool) -> None:
        self._key = key
        self._consistent = consistent
        self._circles: dict[str, tuple[PeerSet, Circle]] = {}

    def __call__(self, group: Group, request: Request) -> PeerSelection:
        key = self._key.evaluate(request)
        if not self._consistent:
            return ByKey(group, request, key)
        known = self._circles.get(group.name)
        if known is None or known[0] is not group.primary:
            known = self._circles[group.name] = (group.primary, Circle(group.primary.peers))
        return OnCircle(group, request, key, known[1])
