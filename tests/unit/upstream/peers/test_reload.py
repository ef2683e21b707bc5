"""A group that takes another's place knows what that one knew."""

import pytest

from penstock.upstream.peers.balancers import LeastConn
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.reload import carry_over
from penstock.upstream.peers.zone_table import PeerTable, SharedPeer


def peer(port: int, **options) -> Peer:
    return Peer(("127.0.0.1", port), f"127.0.0.1:{port}", f"127.0.0.1:{port}", ServerOptions(**options))


def shared(table: PeerTable, port: int, **options) -> SharedPeer:
    given = ServerOptions(**options)
    name = f"127.0.0.1:{port}"
    return SharedPeer(table, table.record(name, given.weight), ("127.0.0.1", port), name, name, given)


def group(*peers: Peer) -> Group:
    return Group("app", list(peers), balancer=LeastConn)


def test_tunnels_count_on_and_are_given_back() -> None:
    before = group(peer(1), peer(2))
    selection = before.select(None)
    held = selection.next(0.0)
    assert held is not None
    after = group(peer(2), peer(1), peer(3))
    carry_over(before, after)
    counts = {each.address[1]: each.active for each in after.peers}
    assert counts == {held.address[1]: 1, 3 - held.address[1]: 0, 3: 0}
    assert after.select(None).next(0.0).address != held.address
    selection.done(held)
    assert sum(each.active for each in after.peers) == 1


def test_failures_stay_where_the_servers_do() -> None:
    before = group(peer(1, fail_timeout=100.0), peer(2))
    before.peers[0].failed(5.0)
    after = group(peer(1, fail_timeout=100.0), peer(2))
    carry_over(before, after)
    assert after.peers[0].fails == 1 and not after.peers[0].available(50.0)


@pytest.mark.parametrize(
    "new",
    [
        [peer(1, fail_timeout=100.0, weight=3), peer(2)],
        [peer(1), peer(2, drain=True)],
        [peer(1), peer(2, down=True)],
        [peer(1), peer(2, backup=True)],
        [peer(1), peer(2), peer(3)],
        [peer(1)],
    ],
)
def test_failures_are_forgotten_where_servers_change(new) -> None:
    before = group(peer(1), peer(2))
    before.peers[0].failed(5.0)
    after = group(*new)
    carry_over(before, after)
    one = after.peers[0]
    assert (one.fails, one.effective_weight, one.weight) == (0, new[0].options.weight, new[0].options.weight)
    assert one.available(6.0) and one.options == new[0].options


@pytest.mark.parametrize("way", ["in a zone", "to a zone", "from a zone"])
def test_failures_in_zones(way) -> None:
    zone = PeerTable("one", 65536)
    make = {"in a zone": (shared, shared), "to a zone": (None, shared), "from a zone": (shared, None)}[way]

    def made(kind, number: int, **options) -> Peer:
        return peer(number, **options) if kind is None else kind(zone, number, **options)

    before = group(made(make[0], 1), made(make[0], 2))
    before.peers[0].failed(5.0)
    same = group(made(make[1], 1), made(make[1], 2))
    carry_over(before, same)
    assert same.peers[0].fails == 1
    after = group(made(make[1], 1), made(make[1], 2, drain=True))
    carry_over(same, after)
    assert (after.peers[0].fails, after.peers[0].effective_weight) == (0, 1)


def test_each_of_two_alike_has_its_own() -> None:
    before = group(peer(1), peer(1))
    before.peers[0].active, before.peers[1].active = 5, 7
    after = group(peer(1), peer(1))
    carry_over(before, after)
    assert [each.active for each in after.peers] == [5, 7]


@pytest.mark.parametrize("way", ["to a zone", "from a zone", "to another zone"])
def test_counts_move_in_and_out_of_zones(way) -> None:
    zone, other = PeerTable("one", 65536), PeerTable("two", 65536)
    before = group(peer(1), peer(2)) if way == "to a zone" else group(shared(zone, 1), shared(zone, 2))
    selection = before.select(None)
    held = selection.next(0.0)
    after = group(peer(1), peer(2)) if way == "from a zone" else group(shared(other, 1), shared(other, 2))
    carry_over(before, after)
    (busy,) = (each for each in after.peers if each.active)
    assert busy.address == held.address
    third = group(*(shared(zone, number) if way == "from a zone" else peer(number) for number in (1, 2)))
    carry_over(after, third)
    assert sum(each.active for each in third.peers) == 1
    selection.done(held)
    assert [each.active for each in third.peers] == [0, 0]


def test_a_zone_that_stays_counts_once() -> None:
    zone = PeerTable("one", 65536)
    before, after = group(shared(zone, 1)), group(shared(zone, 1, weight=4))
    before.peers[0].active += 3
    carry_over(before, after)
    assert after.peers[0].active == 3
    before.peers[0].active -= 1
    assert (after.peers[0].active, after.peers[0].effective_weight) == (2, 4)


def test_a_removed_peer_ends_in_its_own_time() -> None:
    before = group(peer(1), peer(2))
    selection = before.select(None)
    held = selection.next(0.0)
    after = group(peer(3), peer(4))
    carry_over(before, after)
    selection.done(held)
    assert held.active == 0


def test_zones_are_freed_of_what_nobody_names() -> None:
    zone = PeerTable("one", 65536)
    kept, gone = shared(zone, 1), shared(zone, 2)
    named = zone.record("prefix|127.0.0.1:3")
    zone.retire(lambda number, key: number == kept.record or key.startswith("prefix|"))
    assert zone.live("127") == ["127.0.0.1:1"[3:]]
    assert zone.live("prefix|") == ["127.0.0.1:3"]
    assert gone.record != named
