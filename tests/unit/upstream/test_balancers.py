"""Who is chosen: weights, failures, backups, limits."""

import pytest

from penstock.upstream.balancers import Balancer, LeastConn, Selection
from penstock.upstream.group import Group
from penstock.upstream.peers import Peer, ServerOptions


def group(*options: ServerOptions, balancer: Balancer = Selection) -> Group:
    peers = [Peer(("127.0.0.1", number), chr(97 + number), "", each) for number, each in enumerate(options)]
    return Group("g", peers, balancer=balancer)


def pick(of: Group, now: float = 100.0, *, fail: bool = False) -> str:
    selection = of.select(None)
    peer = selection.next(now)
    if peer is None:
        return "-"
    if fail:
        selection.failed(peer, now)
    else:
        selection.done(peer)
    return peer.name


def test_smooth_weights() -> None:
    weighted = group(ServerOptions(weight=5), ServerOptions(), ServerOptions())
    assert "".join(pick(weighted) for _ in range(14)) == "aabacaaaabacaa"


def test_a_request_tries_each_peer_once_and_backups_last() -> None:
    of = group(ServerOptions(), ServerOptions(), ServerOptions(backup=True), ServerOptions(down=True))
    selection = of.select(None)
    assert selection.tries == 3
    names = []
    while (peer := selection.next(100.0)) is not None:
        names.append(peer.name)
        selection.failed(peer, 100.0)
    assert names == ["a", "b", "c"]
    assert selection.tries == 0


def test_failures_put_a_peer_out_of_use_until_its_time_is_over() -> None:
    of = group(ServerOptions(max_fails=2, fail_timeout=10), ServerOptions())
    a = of.primary.peers[0]
    selection = of.select(None)
    assert selection.next(100.0) is a
    assert not selection.failed(a, 100.0)
    while pick(of, 100.0) != "b":
        pass
    selection = of.select(None)
    assert selection.next(100.0) is a
    assert selection.failed(a, 100.0)
    assert {pick(of, 105.0) for _ in range(6)} == {"b"}
    assert {pick(of, 110.5) for _ in range(6)} == {"a", "b"}
    assert a.fails == 0, "a trial that goes well forgives"


def test_a_single_peer_is_never_put_out_of_use() -> None:
    of = group(ServerOptions())
    assert [pick(of, fail=True) for _ in range(5)] == ["a"] * 5


def test_no_failures_are_counted_where_none_are_wanted() -> None:
    of = group(ServerOptions(max_fails=0), ServerOptions(max_fails=0))
    assert {pick(of, fail=True) for _ in range(6)} == {"a", "b"}


@pytest.mark.parametrize("count", [1, 2])
def test_max_conns(count: int) -> None:
    of = group(*[ServerOptions(max_conns=1)] * count)
    taken = [of.select(None) for _ in range(count)]
    peers = [each.next(1.0) for each in taken]
    assert None not in peers
    assert of.select(None).next(1.0) is None
    assert peers[0] is not None
    taken[0].done(peers[0])
    assert of.select(None).next(1.0) is peers[0]


def test_least_conn_goes_by_load_and_weight() -> None:
    of = group(ServerOptions(weight=2), ServerOptions(), balancer=LeastConn)
    assert of.balancer is LeastConn
    held = []
    names = ""
    for _ in range(6):
        selection = of.select(None)
        peer = selection.next(1.0)
        assert peer is not None
        held.append((selection, peer))
        names += peer.name
    assert (names.count("a"), names.count("b")) == (4, 2)
    for selection, peer in held:
        if peer.name == "b":
            selection.done(peer)
    assert pick(of) == "b"


def test_a_stale_connection_is_not_held_against_the_peer() -> None:
    of = group(ServerOptions(), ServerOptions())
    selection = of.select(None)
    first = selection.next(1.0)
    assert first is not None
    selection.stale(first)
    assert (first.fails, first.active, selection.tries) == (0, 0, 2)
    assert {selection.next(1.0), selection.next(1.0)} == set(of.primary.peers)


def test_effective_weight_recovers() -> None:
    of = group(ServerOptions(weight=4, max_fails=4, fail_timeout=1), ServerOptions(weight=4))
    a = of.primary.peers[0]
    a.failed(1.0)
    assert a.effective_weight == 3
    pick(of, 1.0)
    assert a.effective_weight == 4
