"""Sessions: who keeps a server, who loses it, and what is learned."""

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.shared.zone import Zone
from penstock.upstream.peers.balancers import LeastConn
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.sticky import CONTEXT, Sticky, StickyChoice, StickySessions, server_id


class Says:
    """A template that gives one attribute of the request."""

    def __init__(self, name: str) -> None:
        self.name = name

    def evaluate(self, request: Any) -> str:
        return str(getattr(request, self.name))


class Asking:
    def __init__(self, session: str = "", created: str = "", now: float = 100.0) -> None:
        self.session = session
        self.created = created
        self.connection = SimpleNamespace(service=SimpleNamespace(timers=SimpleNamespace(now=now)))
        self.contexts: dict[str, Any] = {}

    def context(self, module: str, make: Any) -> Any:
        return self.contexts.setdefault(module, make())


def group(sticky: Sticky, *options: ServerOptions) -> Group:
    peers = [Peer(("127.0.0.1", at), f"127.0.0.1:{at}", "", each) for at, each in enumerate(options, 1)]
    return Group("g", peers, balancer=sticky)


def by_route() -> Sticky:
    return Sticky([Says("session")])  # type: ignore[list-item]


def ports(of: Group, session: str, count: int, now: float = 100.0) -> list[int]:
    found = []
    for _ in range(count):
        selection = of.select(Asking(session))
        peer = selection.next(now)
        assert peer is not None
        selection.done(peer)
        found.append(peer.address[1])
    return found  # type: ignore[return-value]


def test_a_server_is_known_by_its_route_or_by_its_address() -> None:
    assert server_id(Peer("/s", "unix:/s", "", ServerOptions(route="a"))) == "a"
    address = Peer(("127.0.0.1", 1), "127.0.0.1:1", "", ServerOptions())
    assert server_id(address) == "9b5cdbb1c3e1a06da4bf0789b25fe38a"


def test_sessions_stay_and_others_go_round() -> None:
    of = group(by_route(), *(ServerOptions(route=name) for name in "abc"))
    assert ports(of, "b", 5) == [2] * 5
    assert set(ports(of, "", 6)) == {1, 2, 3}
    assert set(ports(of, "nobody", 6)) == {1, 2, 3}


def test_who_is_visited_by_sessions_gets_fewer_of_the_rest_for_one_round_at_most() -> None:
    of = group(by_route(), ServerOptions(route="a"), ServerOptions(route="b"))
    ports(of, "a", 100)
    assert ports(of, "", 4) == [2, 1, 2, 1]


def test_a_session_tries_its_own_server_first_where_nobody_is_fit() -> None:
    of = group(by_route(), *(ServerOptions(route=name) for name in "abc"))
    for peer in of.peers:
        peer.failed(99.0)
    selection = of.select(Asking("b"))
    assert selection.next(100.0) is None
    found = []
    while (peer := selection.last_resort(100.0)) is not None:
        found.append(peer.options.route)
        selection.failed(peer, 100.0)
    assert found == ["b", "a", "c"]


def test_a_drained_server_keeps_its_sessions_and_gets_no_others() -> None:
    of = group(by_route(), ServerOptions(route="a", drain=True), ServerOptions(route="b"))
    assert ports(of, "a", 3) == [1] * 3
    assert ports(of, "", 3) == [2] * 3
    alone = group(by_route(), ServerOptions(route="a", drain=True))
    assert ports(alone, "a", 2) == [1, 1]
    assert alone.select(Asking()).next(1.0) is None


@pytest.mark.parametrize("options", [ServerOptions(route="a", down=True), ServerOptions(route="a", max_conns=1)])
def test_a_server_that_may_not_be_used_loses_its_sessions(options: ServerOptions) -> None:
    of = group(by_route(), options, ServerOptions(route="b"))
    of.primary.peers[0].active = 1
    assert ports(of, "a", 2) == [2, 2]


def test_a_server_that_failed_is_tried_once_by_a_request() -> None:
    of = group(by_route(), ServerOptions(route="a", max_fails=1), ServerOptions(route="b"))
    selection = of.select(Asking("a"))
    first = selection.next(100.0)
    assert first is of.primary.peers[0]
    selection.failed(first, 100.0)
    second = selection.next(100.0)
    assert second is of.primary.peers[1]
    assert ports(of, "a", 1, 105.0) == [2]
    assert ports(of, "a", 1, 111.0) == [1]


def test_backups_are_asked_for_their_sessions_when_it_is_their_turn() -> None:
    down = ServerOptions(route="x", down=True)
    of = group(by_route(), down, *(ServerOptions(route=name, backup=True) for name in "ab"))
    assert ports(of, "b", 3) == [3] * 3
    alive = group(by_route(), ServerOptions(route="x"), *(ServerOptions(route=name, backup=True) for name in "ab"))
    assert ports(alive, "b", 2) == [1, 1]


def test_another_balancer_decides_where_the_session_does_not() -> None:
    sticky = by_route()
    sticky.balancer = LeastConn
    of = group(sticky, ServerOptions(route="a"), ServerOptions(route="b"))
    of.primary.peers[0].active = 5
    assert ports(of, "a", 2) == [1, 1]
    assert ports(of, "", 2) == [2, 2]


def learning(**options: Any) -> Sticky:
    sessions = StickySessions(Zone("z", 1 << 16), 10.0)
    return Sticky([Says("session")], create=[Says("created")], sessions=sessions, **options)  # type: ignore[list-item]


def serve(of: Group, request: Asking) -> int:
    selection = of.select(request)
    peer = selection.next(request.connection.service.timers.now)
    assert peer is not None
    selection.done(peer)
    return peer.address[1]  # type: ignore[return-value]


def test_what_is_learned_holds_until_its_time_is_over() -> None:
    of = group(learning(), ServerOptions(), ServerOptions())
    first = serve(of, Asking(created="s1"))
    assert [serve(of, Asking("s1", now=100.0 + 6 * n)) for n in range(4)] == [first] * 4
    other = serve(of, Asking(now=120.0))
    assert other != first
    serve(of, Asking(now=120.0))
    gone = [serve(of, Asking("s1", now=140.0)) for _ in range(4)]
    assert set(gone) == {1, 2}


def test_a_session_that_ended_meanwhile_is_not_brought_back_by_its_last_answer() -> None:
    sticky = learning()
    of = group(sticky, ServerOptions(), ServerOptions())
    serve(of, Asking(created="s1"))
    request = Asking("s1", now=105.0)
    selection = of.select(request)
    peer = selection.next(105.0)
    assert peer is not None
    request.connection.service.timers.now = 111.0
    selection.done(peer)
    assert sticky.sessions is not None
    assert sticky.sessions.server("s1", 111.0) is None


def test_a_tunnel_is_learned_when_it_begins() -> None:
    sticky = learning()
    of = group(sticky, ServerOptions(), ServerOptions())
    selection = of.select(Asking(created="s1"))
    peer = selection.next(100.0)
    assert peer is not None and sticky.sessions is not None
    selection.make_final(peer)
    assert sticky.sessions.server("s1", 101.0) is not None
    selection.done(peer)
    assert peer.active == 0


def test_what_is_to_be_learned_from_the_header_is_not_learned_at_the_end() -> None:
    sticky = learning(after_header=True)
    of = group(sticky, ServerOptions(), ServerOptions())
    request = Asking(created="s1")
    serve(of, request)
    assert sticky.sessions is not None
    assert sticky.sessions.server("s1", 100.0) is None
    choice: StickyChoice = request.contexts[CONTEXT][sticky]
    sticky.learn(request, choice, 100.0)
    assert sticky.sessions.server("s1", 100.0) is not None


def test_a_full_table_forgets_the_session_that_was_used_longest_ago() -> None:
    sessions = StickySessions(Zone("z", 32 * 32), 1000.0)
    for number in range(40):
        sessions.learn(f"s{number}", "a", 100.0 + number)
    known = [number for number in range(40) if sessions.server(f"s{number}", 140.0) is not None]
    assert known == list(range(8, 40))


def test_a_group_that_changes_has_other_sessions() -> None:
    of = group(by_route(), ServerOptions(route="a"), ServerOptions(route="b"))
    ports(of, "b", 1)
    of.arrange([*of.peers, Peer(("127.0.0.1", 9), "127.0.0.1:9", "", ServerOptions(route="c"))])
    assert ports(of, "c", 2) == [9, 9]
