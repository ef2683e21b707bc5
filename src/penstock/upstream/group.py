"""A group of servers: an `upstream` block, or what stands in its place for a `proxy_pass` to an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.upstream.balancers import Balancer, Selection
from penstock.upstream.keepalive import KeepAlive, Pool
from penstock.upstream.peers import Peer, PeerSet

if TYPE_CHECKING:
    from penstock.config.source import Span
    from penstock.upstream.h2_links import Links


class Group:
    """`implicit` groups come from an address in `proxy_pass`: they have no pool, as in nginx."""

    __slots__ = ("backup", "balancer", "implicit", "links", "name", "pool", "primary", "span", "tries")

    def __init__(
        self,
        name: str,
        peers: list[Peer],
        *,
        balancer: Balancer = Selection,
        keepalive: KeepAlive | None = None,
        span: Span | None = None,
        implicit: bool = False,
    ) -> None:
        self.name = name
        self.span = span
        self.implicit = implicit
        self.balancer = balancer
        self.links: Links | None = None
        """Connections of HTTP/2, once there was one."""
        self.pool = Pool(keepalive) if keepalive is not None and keepalive.most else None
        self.arrange(peers)

    def arrange(self, peers: Sequence[Peer]) -> None:
        """Choose among these from now on. A request that has begun to choose goes on among those it knew."""
        primary = [peer for peer in peers if not peer.options.backup]
        backup = [peer for peer in peers if peer.options.backup]
        self.primary = PeerSet(primary, single=len(primary) == 1 and not backup)
        self.backup = PeerSet(backup, single=False) if backup else None
        self.tries = self.primary.tries + (self.backup.tries if self.backup else 0)

    def select(self, request: Any) -> Selection:
        """Begin to choose peers for a request."""
        return self.balancer(self, request)

    @property
    def peers(self) -> list[Peer]:
        return [*self.primary.peers, *(self.backup.peers if self.backup else ())]

    def __repr__(self) -> str:
        return f"<group {self.name!r} of {len(self.peers)}>"
