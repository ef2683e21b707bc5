"""Upstreams as plain values, and what several workers say of them made one."""

from types import SimpleNamespace

from penstock.observe.upstream_list import described, merged
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.queue import Queue


def group() -> Group:
    options = ServerOptions(max_fails=1, fail_timeout=10.0)
    return Group("app", [Peer((host, 80), f"{host}:80", host, options) for host in ("10.0.0.1", "10.0.0.2")])


def tunnel(peer: Peer) -> SimpleNamespace:
    return SimpleNamespace(owner=SimpleNamespace(peer=peer))


def test_a_worker_describes_what_it_sees() -> None:
    made = group()
    first, second = made.peers
    first.active = first.served = 2
    second.failed(50.0)
    (told,) = described([made], [tunnel(first), tunnel(first), SimpleNamespace(owner=None)], 53.0)
    assert (told["name"], told["zone"], told["idle"]) == ("app", "", 0)
    one, two = told["peers"]
    assert (one["state"], one["tunnels"], one["active"], one["requests"], one["checks"]) == ("up", 2, 2, 2, None)
    assert (two["state"], two["since"], two["tunnels"]) == ("unavail", 3.0, 0)


def test_a_tunnel_counts_where_its_peer_s_state_went() -> None:
    made = group()
    before = Peer(("10.0.0.1", 80), "10.0.0.1:80", "10.0.0.1", ServerOptions())
    before.heir = made.peers[0]
    (told,) = described([made], [tunnel(before)], 0.0)
    assert told["peers"][0]["tunnels"] == 1


def test_what_workers_say_is_added_up() -> None:
    """Where they do not share it, what one of them does not use is shown; what they share is not counted twice."""
    first, second = group(), group()
    first.peers[0].active = 3
    second.peers[0].active = 4
    second.peers[1].failed(9.0)
    told = [described([each], [], 10.0) for each in (first, second)]
    (found,) = merged(told)
    one, two = found["peers"]
    assert one["active"] == 7
    assert two["state"] == "unavail"
    for answer in told:
        answer[0]["peers"][0]["shared"] = True
    assert merged(told)[0]["peers"][0]["active"] == 3


def test_queues_of_workers_are_added_up() -> None:
    groups = group(), group()
    told = [described([each], [], 10.0) for each in groups]
    assert merged(told)[0]["queue"] is None
    for each in groups:
        each.queue = Queue(10, 1.0)
        each.queue.overflows = 2
    (found,) = merged([described([each], [], 10.0) for each in groups])
    assert found["queue"] == {"size": 0, "max_size": 20, "overflows": 4}
