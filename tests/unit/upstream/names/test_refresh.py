"""Groups that follow names: what stays, what goes, what comes."""

import asyncio

import pytest

from penstock.net.loop import new_loop
from penstock.upstream.names import refresh as under_test
from penstock.upstream.names.refresh import Member, NamedAddress, Renewal, address_of
from penstock.upstream.names.unresolved import Unresolved
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions


def member(**options: int) -> Member:
    made = Member("app:80", "app", 80, ServerOptions(**options))  # type: ignore[arg-type]
    first = Peer(("10.9.9.9", 80), "10.9.9.9:80", "other", ServerOptions())
    made.group = Group("g", [first])
    return made


def names(of: Member) -> list[str]:
    assert of.group is not None
    return [peer.name for peer in of.group.peers]


def places(of: Member, *hosts: str) -> list[NamedAddress]:
    return [of.place(of.at(host)) for host in hosts]


def test_peers_that_stay_are_the_same_and_keep_their_place() -> None:
    app = member()
    assert app.lead_to(places(app, "10.0.0.1", "::1"))
    assert names(app) == ["10.9.9.9:80", "10.0.0.1:80", "[::1]:80"]
    assert app.group is not None
    kept = app.group.peers[1]
    kept.active = 3
    assert not app.lead_to(places(app, "::1", "10.0.0.1"))
    assert app.lead_to(places(app, "10.0.0.2", "10.0.0.1"))
    assert names(app) == ["10.9.9.9:80", "10.0.0.2:80", "10.0.0.1:80"]
    assert app.group.peers[2] is kept
    assert app.lead_to([])
    assert names(app) == ["10.9.9.9:80"]


def test_a_request_goes_on_among_the_peers_it_knew() -> None:
    app = member()
    app.lead_to(places(app, "10.0.0.1"))
    assert app.group is not None
    selection = app.group.select(None)
    app.lead_to([])
    tried = {peer.name for _ in range(2) if (peer := selection.next(1.0)) is not None}
    assert tried == {"10.9.9.9:80", "10.0.0.1:80"}


def test_what_service_records_say_is_heeded() -> None:
    app = member(max_conns=7)
    address = address_of("10.0.0.1", 8080)
    app.lead_to(
        [
            NamedAddress(address, 5, False, "a.test"),
            NamedAddress(address, 5, False, "a.test"),
            NamedAddress(address, 1, True),
        ]
    )
    assert app.group is not None and app.group.backup is not None
    _, first, second = app.group.primary.peers
    assert (first.weight, first.server, first.options.max_conns, first.name) == (5, "a.test", 7, "10.0.0.1:8080")
    assert second is not first
    assert [peer.weight for peer in app.group.backup.peers] == [1]


def test_failures_keep_what_was_known_and_it_ends_when_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "SOONEST", 0.01)
    app = member()
    said: list[str] = []
    answers = [places(app, "10.0.0.1"), None, places(app, "10.0.0.2")]

    async def look_up(of: Member) -> tuple[list[NamedAddress], float]:
        answer = answers.pop(0)
        if answer is None:
            assert names(of)[1:] == ["10.0.0.1:80"]
            raise Unresolved("app", 2)
        return answer, 0.01

    async def scenario() -> None:
        Renewal(app, look_up, retry=0.01, log=said.append).begin(lambda: bool(answers))
        for _ in range(100):
            await asyncio.sleep(0.01)
            if not answers:
                break
        await asyncio.sleep(0.05)

    loop = new_loop()
    loop.run(scenario())
    loop.close()
    assert names(app)[1:] == ["10.0.0.2:80"]
    assert said == ["app could not be resolved (2: Server failure)"]
