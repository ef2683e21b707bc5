"""The end of a tunnel that another process told of: the same again, and nothing taken of words that are strange."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.modules.logs import log_variables as log_variables  # declares them
from penstock.modules.upstream.upstream import UPSTREAMS, Upstreams
from penstock.net.loop import new_loop
from penstock.observe.files import LogFile, LogFiles
from penstock.observe.handover import ReceivedPaths
from penstock.server.handover import ReceivedEnding, describe, let_go
from penstock.shared.json_fields import Fields, Strange
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import Peer, ServerOptions

TOLD: dict[str, Any] = {
    "connection": 7,
    "connected": 100.5,
    "started": 101.25,
    "client": "192.0.2.1",
    "server": "example.com",
    "location": "/ws",
    "body_bytes_sent": 3,
    "bytes_sent": 129,
    "request_length": 200,
    "status": 101,
    "attempts": [
        {
            "address": "192.0.2.7:80",
            "started": 101.25,
            "redirected": False,
            "connect_time": 0.001,
            "header_time": 0.002,
            "response_time": None,
            "status": 101,
            "length": 0,
            "bytes_sent": 0,
            "bytes_received": 90,
        }
    ],
    "backend": {"group": "back", "peer": ["192.0.2.7", 80], "sent": 210, "module": "proxy"},
    "lines": [
        {
            "place": {"file": "/log"},
            "texts": ["GET /ws ", " ", " end"],
            "gaps": ["status", "gone"],
            "escape": "json",
            "language": "http",
        }
    ],
    "subject": {"number": 7, "context": ", client: 192.0.2.1", "log": [{"level": 4, "place": {"file": "/errors"}}]},
    "conversation": None,
    "places": [],
}


class World:
    """What a worker has."""

    def __init__(self, folder: Path) -> None:
        self.loop = new_loop()
        self.peer = Peer(("192.0.2.7", 80), "192.0.2.7:80", "192.0.2.7:80", ServerOptions())
        other = Peer(("192.0.2.8", 80), "192.0.2.8:80", "192.0.2.8:80", ServerOptions())
        self.group = Group("back", [self.peer, other])
        self.plan: Any = SimpleNamespace(shared={UPSTREAMS: Upstreams({"back": self.group})})
        self.service: Any = SimpleNamespace(loop=self.loop, plan=self.plan, meters=None)
        self.files = LogFiles()
        self.places = ReceivedPaths(self.files)
        self.paths = {"/log": folder / "log", "/errors": folder / "errors"}

    def give(self, *paths: str) -> None:
        for path in paths:
            file = LogFile(str(self.paths[path]))
            file.open()
            self.places.give(path, os.dup(file.fd))
            file.close()

    def carried(self, told: dict[str, Any]) -> ReceivedEnding:
        return ReceivedEnding(self.service, self.plan, Fields(copy.deepcopy(told)), self.places)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.places.close()
    made.files.close()
    made.loop.close()


def test_the_same_is_told_again(world: World) -> None:
    world.give("/log", "/errors")
    ending = world.carried(TOLD)
    assert world.peer.active == 1
    shown: list[str] = []
    tunnel: Any = None
    again = describe(ending, tunnel, lambda file: shown.append(file.path))
    # What nobody here knows is settled already.
    assert again.pop("lines") == [{**TOLD["lines"][0], "texts": ["GET /ws ", "  end"], "gaps": ["status"]}]
    assert again == {name: value for name, value in TOLD.items() if name != "lines"}
    assert shown == ["/log", "/errors"]
    let_go(ending, tunnel)
    assert world.peer.active == 0


def test_the_line_is_written_where_it_was_meant_to_be(world: World) -> None:
    world.give("/log", "/errors")
    ending = world.carried(TOLD)
    ending.lines[0].write(ending)
    assert world.paths["/log"].read_text() == "GET /ws 101  end\n", "a variable that nobody knows is empty in JSON"


def test_a_file_of_our_own_is_used_before_one_that_came_along(world: World, tmp_path: Path) -> None:
    own = world.files.add(str(tmp_path / "own"))
    own.open()
    told = {**TOLD, "lines": [{**TOLD["lines"][0], "place": {"file": own.path}}]}
    spare = os.open(tmp_path / "spare", os.O_CREAT | os.O_WRONLY)
    world.places.give(own.path, spare)
    with pytest.raises(OSError):
        os.fstat(spare)
    world.give("/errors")
    assert world.carried(told).lines[0].place(None) is own


def test_a_peer_that_nobody_knows_is_carried_without_a_slot(world: World) -> None:
    world.give("/log", "/errors")
    for backend in ({"group": "other"}, {"peer": ["192.0.2.9", 80]}, {"peer": ["/sock"]}, {"group": "", "peer": []}):
        told = {**TOLD, "backend": {**TOLD["backend"], **backend}}
        ending = world.carried(told)
        assert world.peer.active == 0
        assert describe(ending, None, lambda file: None)["backend"] == told["backend"]  # type: ignore[arg-type]
        ending.upgraded.ended(10, 20)
        assert ending.attempts[-1].bytes_sent == 220


def test_a_log_that_did_not_come_along_is_strange(world: World) -> None:
    world.give("/log")
    with pytest.raises(Strange, match="/errors"):
        world.carried(TOLD)
    assert world.peer.active == 0


def twisted(told: Any) -> Iterator[Any]:
    """Every copy with one value missing, replaced, or added."""
    if isinstance(told, dict):
        for key, value in told.items():
            yield {name: each for name, each in told.items() if name != key}
            for other in (None, -1, 10**30, float("nan"), "\0", [], {}, [[]], [None], True, *twisted(value)):
                if other != value:
                    yield {**told, key: other}
        yield {**told, "more": 1}
    elif isinstance(told, list):
        for at, value in enumerate(told):
            for other in twisted(value):
                yield [*told[:at], other, *told[at + 1 :]]


def test_strange_words_take_nothing(world: World) -> None:
    strange = 0
    for told in twisted(TOLD):
        world.give("/log", "/errors")
        try:
            ending = world.carried(told)
        except Strange:
            strange += 1
        else:
            let_go(ending, None)  # type: ignore[arg-type]
        assert world.peer.active == 0
    assert strange > 200
