"""sticky learn ... sync: a session that one machine has learned is known to all of them."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.sync.client import connect

from conftest import Launcher
from harness.backends import WebSocketEcho
from harness.machines import BASE, joined
from harness.redis_server import RedisServer
from harness.waiting import eventually

pytest.importorskip("redis")

NODE = """
worker_processes {value:workers};
fleet {value:redis} lease=2s timeout=500ms;
http {
    upstream learned {
        server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; server 127.0.0.1:{port:three};
        sticky learn create=$arg_s lookup=$arg_s zone=sessions:64k timeout={value:timeout} sync;
    }
    server {
        listen 127.0.0.1:{port:front};
        add_header X-At $upstream_addr always;
        location /status { status; }
        location / { websocket auto; proxy_pass http://learned; proxy_connect_timeout 1s; }
    }
}
"""
NAMES = ("one", "two", "three")


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class Service:
    """Two machines before three backends."""

    def __init__(self, proxy: Launcher, redis: RedisServer, *, workers: int = 1, timeout: str = "10m") -> None:
        self.backends = {name: WebSocketEcho() for name in NAMES}
        self._open = ExitStack()
        for each in self.backends.values():
            self._open.enter_context(each)
        ports = {name: each.port for name, each in self.backends.items()}
        values = {"redis": redis.address, "workers": workers, "timeout": timeout}
        self.fronts = [proxy(NODE, ports=ports, values=values) for _ in range(2)]
        joined(redis, 2 * workers)
        eventually(lambda: all(self.fleet(each)["machines"] == 2 for each in self.fronts))

    @staticmethod
    def fleet(front: Any) -> Any:
        return json.loads(front.get("/status").body)["fleet"]

    def at(self, front: Any, session: str) -> str:
        """Where a WebSocket of a session is led."""
        with connect(f"ws://127.0.0.1:{front.ports['front']}/?s={session}") as client:
            client.send("here")
            assert client.recv() == "here"
            return str(client.response.headers["X-At"]).rpartition(", ")[2]  # type: ignore[union-attr]

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def service(proxy: Launcher, redis: RedisServer) -> Iterator[Any]:
    made: list[Service] = []

    def start(**how: Any) -> Service:
        made.append(Service(proxy, redis, **how))
        return made[-1]

    yield start
    for each in made:
        each.close()


def questions(redis: RedisServer) -> int:
    """How often Redis was asked, or told, where a session is."""
    client = redis.client()
    found = client.info("commandstats").get("cmdstat_client|caching", {}).get("calls", 0)
    client.close()
    return int(found)


@pytest.mark.parametrize("workers", [1, 2])
def test_machines_know_each_others_sessions(service: Any, redis: RedisServer, workers: int) -> None:
    both = service(workers=workers)
    one, two = both.fronts
    where = {name: both.at(one, name) for name in "abcdef"}
    assert len(set(where.values())) == 3
    assert {name: both.at(two, name) for name in "abcdef"} == where

    def nobody_asks() -> bool:
        before = questions(redis)
        for front in (one, two):
            assert {name: both.at(front, name) for name in "abcdef"} == where
        return questions(redis) == before

    # Each knows by itself, once all have heard of what the others have learned: what Redis tells a worker of a session
    # may come later than what its client was answered, and is asked about once.
    eventually(nobody_asks)
    keys = redis.client().keys(f"{BASE}:s:*")
    assert len(keys) == 6
    assert not any(b"abc" in key for key in keys)
    assert all(0 < redis.client().pttl(key) <= 750_000 for key in keys)


def test_a_session_that_moved_is_where_it_moved_to(service: Any, redis: RedisServer) -> None:
    both = service()
    one, two = both.fronts
    first = both.at(one, "a")
    assert both.at(two, "a") == first
    gone = next(each for each in both.backends.values() if first.endswith(f":{each.port}"))
    gone.__exit__(None, None, None)
    moved = both.at(two, "a")
    assert moved != first
    # Redis tells the other machine that what it knows has changed.
    eventually(lambda: both.at(one, "a") == moved)
    assert both.at(two, "a") == moved


def test_what_another_machine_says_of_a_session_counts(service: Any, redis: RedisServer) -> None:
    """It is taken over, though the server that this machine knows could be had."""
    both = service()
    one, two = both.fronts
    client = redis.client()
    first = both.at(one, "a")
    (key,) = client.keys(f"{BASE}:s:*")
    assert next(name for name in "bcdefgh" if both.at(two, name) != first)
    known = {each: client.get(each) for each in client.keys(f"{BASE}:s:*")}
    other = next(server for server in known.values() if server != known[key])

    def led_elsewhere() -> bool:
        if both.at(one, "a") != first:
            return True
        # A handshake that is under way learns the server that it was led to: the last one who says so counts.
        client.set(key, other, px=60_000)
        return False

    eventually(led_elsewhere)
    assert both.at(two, "a") == both.at(one, "a")


def test_without_redis_each_machine_knows_its_own(service: Any, redis: RedisServer) -> None:
    both = service()
    one, two = both.fronts
    where = {name: both.at(one, name) for name in "abc"}
    redis.pause()
    try:
        known = {name: both.at(two, name) for name in "abcdef"}
        assert both.fleet(two)["unanswered"] <= 1, "only the first one waits for an answer"
        assert {name: both.at(two, name) for name in "abcdef"} == known
        assert {name: both.at(one, name) for name in "abc"} == where
    finally:
        redis.go_on()
    eventually(lambda: both.fleet(two)["state"] == "up")


def test_a_session_in_use_is_told_again(service: Any, redis: RedisServer) -> None:
    both = service(timeout="4s")
    one, two = both.fronts
    where = both.at(one, "a")
    redis.client().flushall()
    # It goes on to be used here, and so the other machine hears of it.
    key = f"{BASE}:s:*"
    eventually(lambda: both.at(one, "a") == where and redis.client().keys(key))
    assert both.at(two, "a") == where
