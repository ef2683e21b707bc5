"""What is set of servers lies over what the configuration says: keys, numbers, and the way back."""

from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.steering import Steering, keyed, next_number, numbered


def group(*servers: str) -> Group:
    peers = [Peer(("127.0.0.1", 80), f"{server}:80", server, ServerOptions(weight=2)) for server in servers]
    return Group("app", peers)


def plain(**given: object) -> dict:
    return {"next": 0, "set": {}, "added": [], "removed": [], **given}


def names(made: Group) -> list[str]:
    return [peer.name for peer in made.peers]


def test_set_and_taken_back() -> None:
    made = group("10.0.0.1", "10.0.0.2")
    first, second = made.peers
    change = {"10.0.0.1 10.0.0.1:80": {"options": {"weight": 7, "drain": True}, "at": 5.0}}
    made.steer(Steering.read(plain(set=change)))
    assert (first.weight, first.effective_weight, first.options.drain) == (7, 7, True)
    assert made.primary.weight == 9
    assert not first.available(0.0) and second.available(0.0)
    made.steer(None)
    assert (first.options, first.weight) == (first.given, 2)


def test_one_that_is_removed_comes_back_where_it_was() -> None:
    made = group("10.0.0.1", "10.0.0.2")
    before = list(made.peers)
    made.steer(Steering.read(plain(removed=["10.0.0.1 10.0.0.1:80"])))
    assert names(made) == ["10.0.0.2:80"]
    assert [(each.number, each.peer.name) for each in numbered(made)] == [(1, "10.0.0.2:80")], "numbers stay"
    made.steer(Steering())
    assert made.peers == before


def test_one_that_is_added_keeps_its_peer_and_its_number() -> None:
    made = group("10.0.0.1")
    entry = {"id": 4, "server": "10.0.0.9:81", "options": {"max_conns": 3}, "at": 1.0}
    made.steer(Steering.read(plain(added=[entry])))
    added = made.peers[1]
    assert (added.name, added.address, added.options.max_conns) == ("10.0.0.9:81", ("10.0.0.9", 81), 3)
    made.steer(Steering.read(plain(added=[{**entry, "options": {"down": True}}])))
    assert made.peers[1] is added and added.options == ServerOptions(down=True)
    assert [(each.number, each.added) for each in numbered(made)] == [(0, False), (4, True)]
    assert next_number(made, plain()) == 5
    made.steer(None)
    assert names(made) == ["10.0.0.1:80"]


def test_one_that_is_added_and_then_configured_is_one() -> None:
    """As after a reload with a state file, which has it by then."""
    made = group("10.0.0.1", "10.0.0.9")
    entry = {"id": 4, "server": "10.0.0.9", "options": {"weight": 3}, "at": 1.0}
    made.steer(Steering.read(plain(added=[entry], removed=["10.0.0.9 10.0.0.9:80"])))
    assert names(made) == ["10.0.0.1:80", "10.0.0.9:80"]
    assert [(each.number, each.peer.weight) for each in numbered(made)] == [(0, 2), (4, 3)]


def test_keys_of_those_that_are_alike_and_numbers_of_names() -> None:
    made = group("10.0.0.1", "10.0.0.1", "app.example")
    assert [key for key, _ in keyed(made.peers)][:2] == ["10.0.0.1 10.0.0.1:80", "10.0.0.1 10.0.0.1:80 #2"]
    first, second, name = (each.number for each in numbered(made))
    assert (first, second) == (0, 1)
    assert name >= 10_000
    again = group("app.example", "10.0.0.1")
    assert name in {each.number for each in numbered(again)}, "whatever stands before it"
