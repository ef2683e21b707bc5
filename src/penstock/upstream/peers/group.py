"""A group of servers: an `upstream` block, or what stands in its place for a `proxy_pass` to an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from penstock.config.addresses import peer_address
from penstock.upstream.peers.balancers import Balancer, LeastConn, PeerSelection
from penstock.upstream.peers.keepalive import KeepAlive, Pool
from penstock.upstream.peers.peers import MakePeer, Peer, PeerSet, ServerOptions, own_peer
from penstock.upstream.peers.steering import Steering, steered, unsteered
from penstock.upstream.peers.zone_table import CheckedPeer, SharedPeer

if TYPE_CHECKING:
    from penstock.config.source import Span
    from penstock.http.request import Request
    from penstock.net.dial import Address
    from penstock.upstream.admission.gate import Gate
    from penstock.upstream.checks.check import Check
    from penstock.upstream.h2.connections import Links
    from penstock.upstream.peers.queue import Queue
    from penstock.upstream.peers.spares import Spares


class Undeclared(tuple[str, str]):
    """What figures of a peer are counted under that only a variable names: all of them are the same, as there could be
    peers without end. `server` is what it is called all the same."""

    server: str


def _undeclared(server: str) -> Undeclared:
    label = Undeclared(("variable", "variable"))
    label.server = server
    return label


def _own_peers(server: str) -> MakePeer:
    return own_peer


INDIFFERENT = (PeerSelection, LeastConn)
"""Balancers that keep nothing of a choice, where there is one peer."""


class Group:
    """`implicit` groups come from an address in `proxy_pass`: they have no pool, as in nginx."""

    __slots__ = (
        "added",
        "admission",
        "backup",
        "balancer",
        "checks",
        "configured",
        "implicit",
        "links",
        "maker",
        "name",
        "pool",
        "primary",
        "queue",
        "span",
        "spares",
        "state_file",
        "steering",
        "tries",
        "zone",
    )

    def __init__(
        self,
        name: str,
        peers: list[Peer],
        *,
        balancer: Balancer = PeerSelection,
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
        self.admission: Gate | None = None
        """Where handshakes wait until they are let in."""
        self.queue: Queue | None = None
        """Where requests wait for a peer."""
        self.checks: tuple[Check, ...] = ()
        """What its peers are asked again and again; their state is in a zone then."""
        self.pool = Pool(keepalive) if keepalive is not None and keepalive.most else None
        self.spares: Spares | None = None
        """Connections that are open before a handshake asks for one."""
        self.zone = self.state_file = ""
        """The zone that its state lies in, and the file that its servers are kept in; "" for none."""
        self.steering: Steering | None = None
        """What was set of its servers while the program ran."""
        self.configured: list[Peer] = []
        self.added: dict[int, Peer] = {}
        self.maker: Callable[[str], MakePeer] = _own_peers
        """Gives what makes the peers of a server that is added."""
        self.arrange(peers)

    def arrange(self, peers: Sequence[Peer]) -> None:
        """Choose among these from now on, and what was set of them. A request that has begun to choose goes on among
        those it knew."""
        self.configured = list(peers)
        if self.steering is not None:
            peers = steered(self, peers)
        for peer in peers:
            peer.label = (self.name, peer.server) if self.declared else _undeclared(peer.server)
        primary = [peer for peer in peers if not peer.options.backup]
        backup = [peer for peer in peers if peer.options.backup]
        self.primary = PeerSet(primary, single=len(primary) == 1 and not backup and not self.checks)
        self.backup = PeerSet(backup, single=False) if backup else None
        self.tries = self.primary.tries + (self.backup.tries if self.backup else 0)

    def check(self, checks: Sequence[Check], now: float) -> None:
        """Let peers be given requests only while they pass these checks. All of them are in a zone."""
        self.checks = tuple(checks)
        for peer in self.peers:
            self.take_up(peer, now)
        self.arrange(self.configured)

    def take_up(self, peer: Peer, now: float) -> Peer:
        """Make a peer one that is checked, if this group's are."""
        if self.checks and type(peer) is SharedPeer:
            peer.__class__ = CheckedPeer
            if any(check.mandatory for check in self.checks):
                peer.health.expect(now)
        return peer

    def steer(self, steering: Steering | None) -> None:
        """Go by what is set of its servers, over what the configuration says; None for nothing."""
        if steering is None:
            unsteered(self)
        self.steering = steering
        self.arrange(self.configured)
        for kept in (self.pool, self.spares):
            if kept is not None:
                kept.keep_only({peer.address for peer in self.peers})

    def make_added(self, server: str, options: ServerOptions) -> Peer:
        """Make the peer of a server that was added; its address is one in figures."""
        address = peer_address(server)
        place: Address = address.host if address.family == "unix" else (address.host, address.port)
        return self.take_up(self.maker(server)(place, str(address), server, options, 0), monotonic())

    def put_instead(self, instead: Mapping[int, Peer]) -> None:
        """Let other peers stand for some of its own, which are given by their ids."""
        self.added = {number: instead.get(id(peer), peer) for number, peer in self.added.items()}
        self.arrange([instead.get(id(peer), peer) for peer in self.configured])

    def select(self, request: Request) -> PeerSelection:
        """Begin to choose peers for a request."""
        return self.balancer(self, request)

    def only(self, now: float) -> Peer | None:
        """Take the one peer of a group that has no other, as the usual balancers would, if it may be given a request;
        None where there is something to choose."""
        peers = self.primary
        if not peers.single or self.queue is not None or self.balancer not in INDIFFERENT:
            return None
        peer = peers.peers[0]
        options = peer.options
        if options.down or options.drain or (options.max_conns and peer.active >= options.max_conns):
            return None
        peer.active += 1
        peer.served += 1
        return peer

    @property
    def declared(self) -> bool:
        """Return whether it is written down, as an `upstream` or as an address, and was not made of a variable."""
        return not self.implicit or self.span is not None

    @property
    def all_peers(self) -> list[Peer]:
        """Return the peers of the configuration, removed ones among them, and those that were added."""
        return [*self.configured, *self.added.values()]

    @property
    def peers(self) -> list[Peer]:
        """List the peers that take part now, the primary ones first, then the backups."""
        return [*self.primary.peers, *(self.backup.peers if self.backup else ())]

    def __repr__(self) -> str:
        return f"<group {self.name!r} of {len(self.peers)}>"
