"""Who is chosen: weights, failures, backups, limits."""

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.upstream.peers.balancers import Balancer, LeastConn, PeerSelection
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.hashing import ByKey, Circle, IpHash, OnCircle
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.random_choice import Random, RandomTwo
from penstock.upstream.peers.sticky import Sticky


def group(*options: ServerOptions, balancer: Balancer = PeerSelection) -> Group:
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


class Asking:
    def __init__(self) -> None:
        self.connection = SimpleNamespace(
            client_address="127.0.0.1", stream=SimpleNamespace(hot=SimpleNamespace(now=100.0))
        )

    def context(self, module: str, make: Any) -> Any:
        return make()


class Says:
    """A template."""

    def __init__(self, text: str) -> None:
        self.text = text

    def evaluate(self, request: Any) -> str:
        return self.text


def tries(of: Group, now: float = 100.0) -> str:
    """Whom a request tries that reaches nobody, all in all."""
    selection = of.select(Asking())
    names = ""
    while (peer := selection.next(now) or selection.last_resort(now)) is not None:
        names += peer.name
        selection.failed(peer, now)
    return names


KINDS: dict[str, Balancer] = {
    "round robin": PeerSelection,
    "least_conn": LeastConn,
    "ip_hash": IpHash,
    "hash": lambda group, request: ByKey(group, request, "key"),
    "consistent": lambda group, request: OnCircle(group, request, "key", Circle(group.primary.peers)),
    "random": Random,
    "random two": RandomTwo,
    "sticky": Sticky([Says("")]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_resort(kind: str) -> None:
    """Those that have failed are tried where nobody else is left, once in a request, and drained ones behind them."""
    options = ServerOptions(), ServerOptions(), ServerOptions(drain=True), ServerOptions(down=True)
    of = group(*options, balancer=KINDS[kind])
    first = tries(of)
    assert sorted(first) == ["a", "b", "c"] and first[2] == "c"
    assert of.select(Asking()).next(101.0) is None
    assert tries(of, 101.0) == "abc"
    a, b = of.primary.peers[:2]
    a.checked, b.checked = 103.0, 102.0
    assert tries(of, 104.0) == "bac", "who has failed longest ago"


def test_the_last_resort_forgives_who_does_well() -> None:
    of = group(ServerOptions(), ServerOptions(down=True))
    assert tries(of) == "a"
    selection = of.select(None)
    assert selection.next(105.0) is None
    peer = selection.last_resort(105.0)
    assert peer is of.primary.peers[0]
    selection.done(peer)
    assert (peer.fails, peer.active, peer.served) == (0, 0, 2)
    assert pick(of, 105.5) == "a"


def test_whom_the_last_resort_leaves_alone() -> None:
    full = group(ServerOptions(max_conns=1), ServerOptions(down=True))
    held = full.select(None)
    assert held.next(1.0) is not None
    assert tries(full) == ""
    assert tries(group(ServerOptions(down=True), ServerOptions(down=True))) == ""
    assert tries(group(ServerOptions(drain=True))) == "a"
    backed = group(ServerOptions(), ServerOptions(backup=True), ServerOptions(backup=True, drain=True))
    assert tries(backed) == "abc"
    assert tries(backed, 101.0) == "abc", "primary servers first"


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
