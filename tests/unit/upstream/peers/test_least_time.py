"""`least_time`: what counts as time, what is alike, and what is measured of requests and tunnels."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from penstock.http.request import Attempt
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.least_time import LeastTimeBalancer, TimeRule
from penstock.upstream.peers.peers import Peer, ServerOptions


def group(rule: TimeRule, *, two: bool = False, options: ServerOptions | None = None) -> Group:
    peers = [Peer(("127.0.0.1", place), f"p{place}", "a", options or ServerOptions()) for place in range(2)]
    for peer in peers:
        peer.checked = 1000.0
    return Group("app", peers, balancer=LeastTimeBalancer(rule, two))


def asks(made: Group, now: float, header: float | None, response: float | None) -> tuple[object, Peer]:
    """A request whose answer has come like this, and the peer that was chosen; it is not given back yet."""
    request = SimpleNamespace(attempts=[])
    selection = made.select(request)  # type: ignore[arg-type]
    peer = selection.next(now)
    assert peer is not None
    attempt = Attempt(peer.name, now)
    attempt.header_time, attempt.response_time = header, response
    request.attempts.append(attempt)
    return selection, peer


@pytest.mark.parametrize("header", [True, False])
def test_the_faster_one_is_chosen(header: bool) -> None:
    made = group(TimeRule(header=header))
    slow, fast = made.peers
    slow.health.time(0.5, 0.1)
    fast.health.time(0.1, 0.5)
    if not header:
        slow, fast = fast, slow
    chosen = {asks(made, 1001.0, None, None)[1] for _ in range(3)}
    assert chosen == {fast}, "even while it carries three requests"


def test_what_it_carries_counts() -> None:
    made = group(TimeRule(header=True))
    one, other = made.peers
    one.health.time(0.110, 0.110)
    other.health.time(0.050, 0.050)
    chosen = [asks(made, 1001.0, None, None)[1] for _ in range(6)]
    assert [chosen.count(peer) for peer in (one, other)] == [2, 4]


def test_those_that_are_alike_take_turns() -> None:
    made = group(TimeRule(header=True))
    made.peers[0].health.time(0.021, 0.0)
    made.peers[1].health.time(0.039, 0.0)
    counts = []
    for _ in range(10):
        selection, peer = asks(made, 1001.0, None, None)
        counts.append(peer)
        selection.done(peer)  # type: ignore[attr-defined]
    assert [counts.count(peer) for peer in made.peers] == [5, 5]


def test_a_slow_one_gets_a_chance_by_and_by() -> None:
    rule = TimeRule(header=True)
    peer = group(rule).peers[0]
    peer.health.time(4.0, 4.0)
    at_once, later = rule.estimate(peer, 1001.0), rule.estimate(peer, 1045.0)
    assert at_once == pytest.approx(4.02, abs=0.03)
    assert later == pytest.approx(4.0 / 16 + 0.01, abs=0.03)


def test_there_is_a_worst() -> None:
    rule = TimeRule(header=True)
    one, other = group(rule).peers
    one.health.time(6.0, 6.0)
    other.health.time(600.0, 600.0)
    assert rule.estimate(one, 1001.0) == rule.estimate(other, 1001.0) == 5.0


def test_answers_are_measured_and_failures_are_not() -> None:
    made = group(TimeRule(header=True), options=ServerOptions(max_fails=0))
    selection, peer = asks(made, 1001.0, 0.25, 0.75)
    selection.done(peer)  # type: ignore[attr-defined]
    assert (peer.health.header_time, peer.health.response_time, peer.health.timed) == (0.25, 0.75, 1)
    selection, peer = asks(made, 1001.0, None, 0.01)
    selection.failed(peer, 1002.0)  # type: ignore[attr-defined]
    selection, peer = asks(made, 1001.0, 0.01, 0.01)
    selection.passed_over(peer)  # type: ignore[attr-defined]
    selection, peer = asks(made, 1001.0, None, None)
    selection.stale(peer)  # type: ignore[attr-defined]
    assert sum(peer.health.timed for peer in made.peers) == 1
    assert [peer.active for peer in made.peers] == [0, 0]


def test_of_a_tunnel_the_handshake_counts_and_at_once() -> None:
    made = group(TimeRule(header=False))
    selection, peer = asks(made, 1001.0, 0.3, None)
    selection.make_final(peer)  # type: ignore[attr-defined]
    assert (peer.health.response_time, peer.health.timed) == (0.3, 1)
    selection.done(peer)  # type: ignore[attr-defined]
    assert peer.health.timed == 1
    assert peer.active == 0


def test_one_that_does_not_answer_is_noticed_before_it_fails() -> None:
    made = group(TimeRule(header=True, inflight=True))
    hanging, well = made.peers
    for peer in made.peers:
        peer.health.time(0.05, 0.05)
    first, peer = asks(made, 1001.0, None, None)
    assert peer is hanging
    chosen = []
    for step in range(5):
        selection, peer = asks(made, 1003.0 + step, 0.05, 0.05)
        chosen.append(peer)
        selection.done(peer)  # type: ignore[attr-defined]
    assert chosen == [well] * 5
    first.failed(hanging, 1010.0)  # type: ignore[attr-defined]
    assert (hanging.health.inflight, hanging.health.begun, well.health.inflight) == (0, 0.0, 0)


def test_of_two_by_chance_the_faster() -> None:
    made = group(TimeRule(header=True), two=True)
    made.peers[0].health.time(1.0, 1.0)
    counts = []
    for _ in range(200):
        selection, peer = asks(made, 1001.0, None, None)
        counts.append(peer)
        selection.done(peer)  # type: ignore[attr-defined]
    assert counts.count(made.peers[1]) > 120
