"""Choosing a peer: what a balancer is, and the two that need nothing but the peers themselves.

A balancer makes a `PeerSelection` for each request. Those that go by keys are in `hashing.py`, by
chance in `random_choice.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer, PeerSet


class PeerSelection:
    """The peers that one request may still try: smooth weighted round robin, as nginx does it.

    Every peer's current weight grows by its weight, the heaviest is chosen and pays the sum of all: so a peer of
    weight 5 among two of weight 1 is chosen a a b a c a a, not five times in a row. `tries` is how many attempts are
    left. Other balancers override `choose`.

    Where nobody is fit, there is `last_resort`: a request shall not fail while somebody might answer it.
    """

    __slots__ = ("group", "request", "set", "tried", "tries")

    def __init__(self, group: Group, request: Request | None) -> None:
        self.group = group
        self.request: Request | None = request
        self.set = group.primary
        self.tries = group.tries
        self.tried: list[Peer] | None = None

    def has_to_ask(self, now: float) -> bool:
        """Return whether others have to be asked (`ask`) before anything can be chosen."""
        return False

    async def ask(self, now: float) -> None:
        """Ask them, and wait for what they say."""

    def next(self, now: float) -> Peer | None:
        """Take the next peer to try (`release` gives it back); None when there is none."""
        peers = self.set
        if peers.single:
            peer: Peer | None = peers.peers[0]
            assert peer is not None
            options = peer.options
            if options.down or options.drain or (options.max_conns and peer.active >= options.max_conns):
                return None
        else:
            peer = self.choose(peers, now)
            if peer is None:
                backup = self.group.backup
                if backup is None or peers is backup:
                    return None
                self.set = backup
                return self.next(now)
            if self.tried is None:
                self.tried = [peer]
            else:
                self.tried.append(peer)
        peer.active += 1
        peer.served += 1
        return peer

    def last_resort(self, now: float) -> Peer | None:
        """Take one that might do all the same and has not been tried: those whose failures alone speak against them,
        who has failed longest ago first, backups after them, and at last those that are being drained."""
        tried = self.tried or ()
        best: Peer | None = None
        for peer in self.group.peers:
            if peer in tried or not peer.bare():
                continue
            if best is None or _sooner(peer, best):
                best = peer
        if best is not None:
            self.resort_to(best, now)
        return best

    def resort_to(self, peer: Peer, now: float) -> None:
        """Take a peer that is not fit."""
        peer.checked = now  # its trial, as `_chance` has it
        self.tried = [*(self.tried or ()), peer]
        peer.active += 1
        peer.served += 1

    def choose(self, peers: PeerSet, now: float) -> Peer | None:
        """Choose the best of the peers that have not been tried and are fit."""
        tried = self.tried
        fit = [peer for peer in peers.peers if peer.available(now) and (tried is None or peer not in tried)]
        return heaviest(fit, now) if fit else None

    def failed(self, peer: Peer, now: float) -> bool:
        """Give a peer back at which the attempt failed. Return whether it is now out of use for a while."""
        peer.active -= 1
        peer.failures += 1
        self._spend()
        if self.set.single:
            peer.fails = 0
            return False
        if peer.failed(now):
            peer.unavailable += 1
            return True
        return False

    def passed_over(self, peer: Peer) -> None:
        """Give a peer back whose answer was not wanted (403, 404), which is no failure: another may be tried."""
        self.done(peer)

    def begin_again(self) -> None:
        """Look at primary peers first again: who waits may find another world each time."""
        self.set = self.group.primary

    def make_final(self, peer: Peer) -> None:
        """Let go of what led to the choice of this peer, which has been made for good."""
        self.request = None
        self.tried = None

    def stale(self, peer: Peer) -> None:
        """Give a peer back to which a kept connection turned out to be closed, which says nothing about the peer.

        It may be tried again, and that has cost no try. (nginx grants the try, but charges the peer with a failure.)
        """
        peer.active -= 1
        if self.tried is not None:
            self.tried.remove(peer)

    def done(self, peer: Peer) -> None:
        """Give a peer back at which the request, or the tunnel, has ended well."""
        peer.active -= 1
        if self.tries:
            self.tries -= 1
        if self.set.single:
            peer.fails = 0
        else:
            peer.did_well()

    def _spend(self) -> None:
        if self.tries:
            self.tries -= 1


class LeastConn(PeerSelection):
    """A balancer that chooses the peer with the fewest requests and tunnels for its weight; among equals, round robin.

    nginx: ngx_http_upstream_least_conn_module.
    """

    __slots__ = ()

    def choose(self, peers: PeerSet, now: float) -> Peer | None:
        """Choose the peer with the fewest requests and tunnels for its weight; None if none is fit."""
        tried = self.tried
        least: list[Peer] = []
        for peer in peers.peers:
            if (tried is not None and peer in tried) or not peer.available(now):
                continue
            if least:
                best = least[0]
                ours, theirs = peer.active * best.weight, best.active * peer.weight
                if ours > theirs:
                    continue
                if ours < theirs:
                    least.clear()
            least.append(peer)
        if len(least) > 1:
            return heaviest(least, now)
        for peer in least:
            _chance(peer, now)
            return peer
        return None


def _sooner(peer: Peer, best: Peer) -> bool:
    """Return whether one comes before another where nobody is fit; of equals, who comes first."""
    ours, theirs = peer.options, best.options
    if ours.drain != theirs.drain:
        return theirs.drain
    if ours.backup != theirs.backup:
        return theirs.backup
    return peer.checked < best.checked


def heaviest(peers: list[Peer], now: float) -> Peer:
    """Make one step of smooth weighted round robin among peers that may all be used."""
    best = peers[0]
    total = 0
    for peer in peers:
        weight = peer.effective_weight
        peer.current_weight += weight
        total += weight
        if weight < peer.weight:
            peer.effective_weight = weight + 1
        if peer.current_weight > best.current_weight:
            best = peer
    best.current_weight -= total
    _chance(best, now)
    return best


def _chance(peer: Peer, now: float) -> None:
    """Note that a peer is given a request: if it had failed, this is its trial."""
    if now - peer.checked > peer.options.fail_timeout:
        peer.checked = now


Balancer: TypeAlias = "Callable[[Group, Request], PeerSelection]"
"""Begins to choose for a request: group, request."""
