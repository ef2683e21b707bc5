"""`least_time`: the peer that has soonest done what it has to do (nginx: ngx_http_upstream_least_time_module).

What counts is the average time of its answers, times what it carries, for its weight. Times within 20 ms of each other
are alike, and so are those above 5 s; of equals, round robin chooses. A peer that was not chosen for a while seems
faster by and by, so that it gets a chance. Only answers count, not failures: who fails at once is not fast. Of a tunnel
it is the handshake that counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import randrange
from typing import TYPE_CHECKING

from penstock.upstream.peers.balancers import PeerSelection, heaviest
from penstock.upstream.peers.random_choice import RandomTwo
from penstock.upstream.peers.slow_start import ComesBack, weight_of

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer, PeerSet

ALIKE = 0.02
WORST = 5.0


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Which time counts, to the head of an answer or to its end, and whether that of unfinished requests does, too."""

    header: bool
    inflight: bool = False

    def estimate(self, peer: Peer, now: float) -> float:
        """Return the seconds that a peer may need for what it carries and one request more, for its weight."""
        health = peer.health
        time = health.header_time if self.header else health.response_time
        idle = now - peer.checked
        if idle > peer.options.fail_timeout:
            time /= 2.0 ** min(32.0, idle // (peer.options.fail_timeout + 1))
        if self.inflight and health.inflight:
            time = max(time, now - health.begun / health.inflight)
        time = WORST if time > WORST else (time // ALIKE + 1) * ALIKE
        return time * (1 + peer.active) / weight_of(peer, now)


class TimesAnswers(ComesBack):
    """The part of a selection that measures. It stands before the balancer, and has a `rule`."""

    __slots__ = ()
    rule: TimeRule
    request: Request | None

    def next(self, now: float) -> Peer | None:
        """Take the next peer, and note when."""
        peer: Peer | None = super().next(now)  # type: ignore[misc]
        if peer is not None and self.rule.inflight:
            peer.health.inflight += 1
            peer.health.begun += now
        return peer

    def done(self, peer: Peer) -> None:
        """Give a peer back, and count the times of its answer."""
        self._measure(peer)
        super().done(peer)

    def make_final(self, peer: Peer) -> None:
        """Count the time of a handshake: what follows is a tunnel."""
        self._measure(peer)
        super().make_final(peer)  # type: ignore[misc]

    def passed_over(self, peer: Peer) -> None:
        """Give a peer back whose answer was not wanted, and does not count."""
        self._finished(peer)
        PeerSelection.done(self, peer)  # type: ignore[arg-type]

    def failed(self, peer: Peer, now: float) -> bool:
        """Give a peer back that has failed, which does not count."""
        self._finished(peer)
        out: bool = super().failed(peer, now)  # type: ignore[misc]
        return out

    def stale(self, peer: Peer) -> None:
        """Give a peer back whose connection was closed."""
        self._finished(peer)
        super().stale(peer)  # type: ignore[misc]

    def _measure(self, peer: Peer) -> None:
        request = self.request
        if request is None or not request.attempts:
            return
        self._finished(peer)
        attempt = request.attempts[-1]
        header = attempt.header_time
        if header is not None:
            peer.health.time(header, header if attempt.response_time is None else attempt.response_time)

    def _finished(self, peer: Peer) -> None:
        health = peer.health
        request = self.request
        if self.rule.inflight and health.inflight and request is not None and request.attempts:
            health.begun -= request.attempts[-1].started
            health.inflight -= 1
            if not health.inflight:
                health.begun = 0.0


class LeastTime(TimesAnswers, PeerSelection):
    """A selection by estimated times."""

    __slots__ = ("rule",)

    def __init__(self, group: Group, request: Request, rule: TimeRule) -> None:
        super().__init__(group, request)
        self.rule = rule

    def choose(self, peers: PeerSet, now: float) -> Peer | None:
        """Choose the fit peer with the smallest estimate; of equals, by weighted round robin."""
        tried = self.tried
        best: list[Peer] = []
        soonest = 0.0
        for peer in peers.peers:
            if (tried is not None and peer in tried) or not peer.available(now):
                continue
            estimate = self.rule.estimate(peer, now)
            if best and estimate > soonest:
                continue
            if best and estimate < soonest:
                best.clear()
            soonest = estimate
            best.append(peer)
        return heaviest(best, now) if best else None


class RandomTwoLeastTime(TimesAnswers, RandomTwo):
    """A selection that takes two by chance, and of them the one with the smaller estimate."""

    __slots__ = ("rule",)

    def __init__(self, group: Group, request: Request, rule: TimeRule) -> None:
        super().__init__(group, request)
        self.rule = rule

    def place(self, peers: PeerSet, now: float) -> Peer | None:
        """Take two by chance, and return that with the smaller estimate; None if one is unfit, or both are the same."""
        self.hash = randrange(peers.weight)
        one = self.weighted(peers, now)
        self.hash = randrange(peers.weight)
        other = self.weighted(peers, now)
        if one is None or other is None or one is other:
            return None
        return other if self.rule.estimate(one, now) > self.rule.estimate(other, now) else one


@dataclass(frozen=True, slots=True)
class LeastTimeBalancer:
    """The balancer of `least_time`, or with `two` of `random two least_time=...`."""

    rule: TimeRule
    two: bool = False

    def slowly(self) -> LeastTimeBalancer:
        """Return itself: its weights can be smaller for a while, unless chance chooses two. Raises `ValueError`."""
        if self.two:
            raise ValueError('balancing method does not support parameter "slow_start"')
        return self

    def __call__(self, group: Group, request: Request) -> PeerSelection:
        return (RandomTwoLeastTime if self.two else LeastTime)(group, request, self.rule)
