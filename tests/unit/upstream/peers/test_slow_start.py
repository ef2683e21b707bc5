"""A server that comes back gets its share little by little, whether checks or requests have found it."""

from __future__ import annotations

from time import monotonic

import pytest

from penstock.upstream.peers.balancers import Balancer
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.slow_start import SlowLeastConn, SlowRoundRobin, weight_of

SLOW = 100.0


def group(balancer: Balancer, weights: tuple[int, ...] = (1, 1)) -> Group:
    peers = [
        Peer(("127.0.0.1", place), f"p{place}", "a", ServerOptions(weight=weight, slow_start=SLOW))
        for place, weight in enumerate(weights)
    ]
    return Group("app", peers, balancer=balancer)


def chosen(made: Group, now: float, times: int, *, keep: bool = False) -> dict[str, int]:
    """How often each is chosen; with `keep` none of them is given back."""
    counts = {peer.name: 0 for peer in made.peers}
    for _ in range(times):
        selection = made.select(None)  # type: ignore[arg-type]
        peer = selection.next(now)
        assert peer is not None
        counts[peer.name] += 1
        if not keep:
            selection.done(peer)
    return counts


@pytest.mark.parametrize(("passed", "share"), [(0.0, 0.01), (25.0, 0.25), (50.0, 0.5), (100.0, 1.0), (1000.0, 1.0)])
def test_round_robin(passed: float, share: float) -> None:
    made = group(SlowRoundRobin)
    made.peers[1].health.returned = 1000.0
    counts = chosen(made, 1000.0 + passed, 4000)
    # It takes part in as many choices as its share says, and wins every second one of those.
    assert counts["p1"] == pytest.approx(4000 * share / 2, abs=250)


def test_weights_stay_what_they_are_to_each_other() -> None:
    made = group(SlowRoundRobin, (3, 1))
    assert chosen(made, 1000.0, 400) == {"p0": 300, "p1": 100}


def test_nobody_waits_where_all_have_just_come_back() -> None:
    made = group(SlowRoundRobin)
    for peer in made.peers:
        peer.health.returned = 1000.0
    assert sum(chosen(made, 1000.0, 50).values()) == 50


def test_least_conn_does_not_fill_an_empty_one_at_once() -> None:
    made = group(SlowLeastConn)
    made.peers[0].active = 100
    made.peers[1].health.returned = 1000.0
    assert chosen(made, 1010.0, 50, keep=True) == {"p0": 36, "p1": 14}, "140 for its weight, against 136"
    assert chosen(made, 1100.0, 100, keep=True)["p1"] == 100


def test_failures_that_are_forgiven_begin_it() -> None:
    made = group(SlowRoundRobin)
    peer = made.peers[1]
    peer.failed(1000.0)
    assert not peer.available(1001.0)
    selection = made.select(None)  # type: ignore[arg-type]
    while selection.next(1020.0) is not peer:
        pass
    selection.done(peer)
    assert peer.health.returned == pytest.approx(monotonic(), abs=10)
    assert weight_of(peer, peer.health.returned + SLOW / 2) == pytest.approx(0.5)


def test_one_that_never_was_away_has_all_of_its_weight() -> None:
    made = group(SlowRoundRobin, (5,))
    assert weight_of(made.peers[0], 1.0) == 5
