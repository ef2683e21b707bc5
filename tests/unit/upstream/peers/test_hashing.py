"""Balancers by key and by chance."""

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.config.variables import Template, Variable
from penstock.upstream.peers.balancers import Balancer
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.hashing import HashBalancer, IpHash, packed
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.random_choice import Random, RandomTwo


def group(balancer: Balancer, *weights: int, down: int = -1) -> Group:
    peers = [
        Peer(("127.0.0.1", at), f"s{at}", f"127.0.0.1:{at}", ServerOptions(weight=weight, down=at == down))
        for at, weight in enumerate(weights)
    ]
    return Group("g", peers, balancer=balancer)


def by_key(*, consistent: bool) -> HashBalancer:
    key = Template("$key", None, (None,), ("key",))
    key.bind([Variable("key", lambda request: request.key)])
    return HashBalancer(key, consistent=consistent)


def chosen(of: Group, **request: Any) -> str:
    selection = of.select(SimpleNamespace(**request))
    peer = selection.next(1.0)
    assert peer is not None
    selection.done(peer)
    return peer.name


KEYS = [f"key{number}" for number in range(400)]


@pytest.mark.parametrize("consistent", [False, True])
def test_keys_stay_and_weights_count(consistent: bool) -> None:
    of = group(by_key(consistent=consistent), 1, 1, 2)
    places = [chosen(of, key=key) for key in KEYS]
    assert places == [chosen(of, key=key) for key in KEYS]
    assert {name: places.count(name) > 60 for name in ("s0", "s1", "s2")} == dict.fromkeys(("s0", "s1", "s2"), True)
    assert places.count("s2") > 1.4 * places.count("s0")


def test_on_the_circle_few_keys_move() -> None:
    three, four = group(by_key(consistent=True), 1, 1, 1), group(by_key(consistent=True), 1, 1, 1, 1)
    moved = [key for key in KEYS if chosen(three, key=key) != chosen(four, key=key)]
    assert len(moved) < 160
    assert {chosen(four, key=key) for key in moved} == {"s3"}


@pytest.mark.parametrize("consistent", [False, True])
def test_keys_of_a_peer_that_is_down_go_to_others(consistent: bool) -> None:
    balancer = by_key(consistent=consistent)
    all_up = group(balancer, 1, 1, 1)
    one_down = group(by_key(consistent=consistent), 1, 1, 1, down=1)
    for key in KEYS:
        was, now = chosen(all_up, key=key), chosen(one_down, key=key)
        assert now == was if was != "s1" else now != "s1"


def test_an_empty_key_is_left_to_round_robin() -> None:
    of = group(by_key(consistent=False), 1, 1)
    assert [chosen(of, key="") for _ in range(4)] == ["s0", "s1", "s0", "s1"]


def test_clients_stay_by_network() -> None:
    of = group(IpHash, 1, 1, 1)

    def at(address: str) -> str:
        return chosen(of, connection=SimpleNamespace(client_address=address))

    assert {at(f"10.0.0.{number}") for number in range(20)} == {at("10.0.0.1")}
    assert {at(f"10.0.{number}.1") for number in range(60)} == {"s0", "s1", "s2"}
    assert at("2001:db8::1") == at("2001:db8::1")
    assert at("unix:") == at("unix:")


def test_packed() -> None:
    assert packed("1.2.3.4") == b"\1\2\3"
    assert packed("::1") == b"\0" * 15 + b"\1"
    assert packed("unix:") == b"\0\0\0"


@pytest.mark.parametrize("balancer", [Random, RandomTwo])
def test_by_chance(balancer: Balancer) -> None:
    of = group(balancer, 1, 1, 1, down=1)
    assert {chosen(of) for _ in range(200)} == {"s0", "s2"}


def test_the_better_of_two() -> None:
    of = group(RandomTwo, 1, 1)
    of.primary.peers[0].active = 5
    assert {chosen(of) for _ in range(50)} == {"s1"}
