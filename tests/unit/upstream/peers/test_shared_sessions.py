"""Sessions of several machines: who is asked, when, and what others are told."""

import asyncio
from hashlib import blake2b
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.shared.zone import Zone
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.shared_sessions import SharedSessions, SharedSticky, SharedStickySelection
from penstock.upstream.peers.sticky import server_id, short

A, B = (Peer(("127.0.0.1", at), f"127.0.0.1:{at}", "", ServerOptions()) for at in (1, 2))


class Says:
    def __init__(self, name: str) -> None:
        self.name = name

    def evaluate(self, request: Any) -> str:
        return str(getattr(request, self.name))


class Asking:
    def __init__(self, session: str = "", created: str = "", now: float = 100.0) -> None:
        self.session, self.created = session, created
        self.connection = SimpleNamespace(service=SimpleNamespace(timers=SimpleNamespace(now=now)))
        self.contexts: dict[Any, Any] = {}

    def context(self, key: Any, make: Any) -> Any:
        return self.contexts.setdefault(key, make())


class Others:
    """What the rest of the fleet knows."""

    def __init__(self) -> None:
        self.there = True
        self.known: dict[bytes, bytes] = {}
        self.asked = 0
        self.told: list[float] = []

    def digest(self, session: str) -> bytes:
        return blake2b(session.encode(), digest_size=16).digest()

    async def ask(self, digest: bytes) -> bytes | None:
        self.asked += 1
        return self.known.get(digest)

    def say(self, digest: bytes, server: bytes, seconds: float) -> None:
        self.known[digest] = server
        self.told.append(seconds)


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def group(others: Others) -> Group:
    sessions = SharedSessions(Zone("sessions", 32768), 100.0, others)
    sticky = SharedSticky([Says("session")], create=[Says("created")], sessions=sessions)  # type: ignore[list-item]
    peers = [Peer(each.address, each.name, "", ServerOptions()) for each in (A, B)]
    return Group("g", peers, balancer=sticky)


def chosen(group: Group, request: Asking) -> Peer:
    """The peer that a request gets, having asked others where it has to, and used it well."""
    now = request.connection.service.timers.now
    selection = group.select(request)  # type: ignore[arg-type]
    assert isinstance(selection, SharedStickySelection)
    if selection.has_to_ask(now):
        assert selection.next(now) is None
        assert selection.last_resort(now) is None
        asyncio.run(selection.ask(now))
    peer = selection.next(now)
    assert peer is not None
    selection.done(peer)
    return peer


def sessions_of(group: Group) -> SharedSessions:
    found: Any = group.balancer
    return found.sessions  # type: ignore[no-any-return]


def test_a_session_of_another_machine_is_asked_for_once(group: Group, others: Others) -> None:
    others.known[others.digest("s")] = short(server_id(B))
    assert [chosen(group, Asking("s")).name for _ in range(3)] == [B.name] * 3
    assert others.asked == 1
    assert others.told == [125.0], "its first use here"


def test_who_names_no_session_asks_nobody(group: Group, others: Others) -> None:
    chosen(group, Asking())
    assert others.asked == 0
    assert others.told == []


def test_what_is_learned_is_told_and_again_in_each_part_of_the_timeout(group: Group, others: Others) -> None:
    peer = chosen(group, Asking(created="s", now=1000.0))
    assert others.known == {others.digest("s"): short(server_id(peer))}
    for now in (1001.0, 1010.0, 1024.0, 1026.0, 1049.0, 1051.0):
        assert chosen(group, Asking("s", now=now)).name == peer.name
    assert others.asked == 0
    assert len(others.told) == 3


def test_one_whose_server_can_not_be_had_is_asked_for(group: Group, others: Others) -> None:
    first = chosen(group, Asking(created="s"))
    other = next(each for each in group.peers if each is not first)
    others.known[others.digest("s")] = short(server_id(other))
    first.options = ServerOptions(down=True)
    assert chosen(group, Asking("s")) is other
    assert others.asked == 1
    first.options = ServerOptions()
    assert chosen(group, Asking("s")) is other


def test_what_another_machine_changed_counts(group: Group, others: Others) -> None:
    first = chosen(group, Asking(created="s"))
    other = next(each for each in group.peers if each is not first)
    sessions, server = sessions_of(group), short(server_id(other))
    assert sessions.knows(others.digest("s"))
    assert not sessions.knows(others.digest("t"))
    sessions.correct(others.digest("t"), server)
    assert not sessions.knows(others.digest("t"))
    sessions.correct(others.digest("s"), server)
    told = len(others.told)
    assert chosen(group, Asking("s")) is other
    assert others.asked == 0
    assert len(others.told) == told, "that is no news"


def test_a_fleet_that_is_not_there_is_not_asked(group: Group, others: Others) -> None:
    others.there = False
    peer = chosen(group, Asking("s", created="s"))
    assert others.asked == 0
    assert chosen(group, Asking("s")) is peer


def test_a_session_that_is_over_is_told_by_nobody(group: Group, others: Others) -> None:
    chosen(group, Asking(created="s"))
    others.known.clear()
    chosen(group, Asking("s", now=300.0))
    assert others.asked == 1
    assert others.known == {}
