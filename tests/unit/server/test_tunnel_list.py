"""A page of a list costs what is on it: the others are looked at, and not described."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.observe.selection import RANKS, TunnelSelection
from penstock.server import tunnel_list
from penstock.server.tunnel_list import listed

MANY = 5000


class FakeTunnel:
    reason = None

    def __init__(self, number: int, *, client: str | None = "127.0.0.1") -> None:
        self.number = self.backend_fd = number
        self.opened = float(number)
        self.last = float(MANY - number)
        self.from_client = self.from_backend = number * 7 % MANY
        talk = SimpleNamespace(messages_in=number * 11 % MANY, messages_out=0)
        self.owner = SimpleNamespace(client=client, conversation=talk, connection=SimpleNamespace(number=number))


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the tunnels that were described."""
    found: list[int] = []

    def describe(tunnel: FakeTunnel) -> dict[str, Any] | None:
        found.append(tunnel.number)
        return {"id": str(tunnel.number), "client": tunnel.owner.client, "age": 0.0, "idle": 0.0, "peer": "a:1"}

    monkeypatch.setattr(tunnel_list, "Tunnel", FakeTunnel)
    monkeypatch.setattr(tunnel_list, "describe", describe)
    return found


def told(selection: TunnelSelection, sort: str, limit: int) -> Any:
    async def run() -> Any:
        return await listed(loop, selection, limit, sort)  # type: ignore[arg-type]

    ones = [FakeTunnel(number) for number in range(MANY)]
    loop = SimpleNamespace(
        tunnels={*ones, FakeTunnel(MANY, client=None)}, event_streams=set(), timers=SimpleNamespace(now=0.0)
    )
    wait = run()
    for _ in range(MANY):  # turns of the loop
        try:
            wait.send(None)
        except StopIteration as end:
            return end.value
    raise AssertionError("it does not come to an end")


@pytest.mark.parametrize("sort", RANKS)
def test_what_is_not_on_the_page_is_not_described(described: list[int], sort: str) -> None:
    found = told(TunnelSelection(), sort, 25)
    assert (found["matched"], len(found["tunnels"]), len(described)) == (MANY, 25, 25)
    ranks = [entry["rank"] for entry in found["tunnels"]]
    assert ranks == sorted(ranks, reverse=True)
    key = {
        "age": lambda n: n,
        "idle": lambda n: n,
        "bytes": lambda n: -(n * 7 % MANY),
        "messages": lambda n: -(n * 11 % MANY),
    }
    wanted = sorted(range(MANY), key=key[sort])[:25]
    assert [int(entry["id"]) for entry in found["tunnels"]] == wanted
    assert [entry["opened"] for entry in found["tunnels"]] == wanted


def test_a_choice_is_made_among_all(described: list[int]) -> None:
    found = told(TunnelSelection(peer="a:2"), "age", 25)
    assert (found["matched"], found["tunnels"]) == (0, [])
    assert len(described) == MANY + 1
