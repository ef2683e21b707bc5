"""Which tunnels end when a server is unhealthy, how, and that each is told once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from penstock.modules.websocket.drain import DrainRule
from penstock.server.websocket import unhealthy
from penstock.server.websocket.unhealthy import UnhealthyServers
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.websocket.close_reasons import Why
from penstock.websocket.terms import DRAINED, KEPT


class Upgraded:
    def __init__(self, group: str, peer: Peer) -> None:
        self.told = {"group": group, "peer": list(peer.address)}

    def state(self) -> dict[str, object]:
        return self.told


def tunnel(group: str, peer: Peer, what: int, opened: float = 1.0) -> SimpleNamespace:
    talk = SimpleNamespace(terms=SimpleNamespace(on_unhealthy=what))
    owner = SimpleNamespace(upgraded=Upgraded(group, peer), conversation=talk)
    return SimpleNamespace(owner=owner, opened=opened, reason=None)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[object], float, int]]:
    found: list[tuple[list[object], float, int]] = []

    def drain(loop: object, tunnels: list[object], window: float, code: int, *, what: str, why: Why) -> None:
        assert "p1" in what and why is Why.UNHEALTHY
        found.append((tunnels, window, code))

    def send_away(
        loop: object, tunnels: list[object], window: float, code: int, avoided: object, *, what: str, why: Why
    ) -> None:
        assert avoided == {("127.0.0.1", 1)}
        drain(loop, tunnels, window, code, what=what, why=why)

    monkeypatch.setattr(unhealthy, "Drain", drain)
    monkeypatch.setattr(unhealthy, "send_away", send_away)
    return found


def test_who_goes_and_how(told: list[tuple[list[object], float, int]]) -> None:
    peers = [Peer(("127.0.0.1", place), f"p{place}", "a", ServerOptions()) for place in (1, 2)]
    group = Group("app", peers)
    sick, well = peers
    gone = tunnel("app", sick, DRAINED)
    gone.reason = "closed"
    drained, closed = tunnel("app", sick, DRAINED), tunnel("app", sick, 4001)
    others = [tunnel("app", sick, KEPT), tunnel("app", well, DRAINED), tunnel("other", sick, DRAINED), gone]
    plain = SimpleNamespace(owner=SimpleNamespace(upgraded=Upgraded("app", sick), conversation=None))
    plain.opened, plain.reason = 1.0, None
    loop = SimpleNamespace(tunnels={0: 0}.keys(), timers=SimpleNamespace(now=10.0))
    loop.tunnels = [drained, closed, plain, *others]
    watch = UnhealthyServers(loop, [group], DrainRule(30.0, 1012))  # type: ignore[arg-type]
    watch.end_tunnels()
    assert told == []
    sick.health.put_out(10.0)
    watch.end_tunnels()
    assert told == [([drained], 30.0, 1012), ([closed], 0.0, 4001)]
    late = tunnel("app", sick, 4001, opened=10.2)
    loop.tunnels.append(late)
    loop.timers.now = 10.5
    watch.end_tunnels()
    assert told[2:] == [([late], 0.0, 4001)], "each is told once"
    sick.health.put_in(11.0)
    loop.timers.now = 11.0
    watch.end_tunnels()
    sick.health.put_out(12.0)
    loop.timers.now = 12.0
    watch.end_tunnels()
    assert len(told) == 5, "it is unhealthy anew: all that is still there goes"
