"""Servers of a group by a list from elsewhere: taken up without a reload, kept where the source fails, drained."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from harness.backends import WebSocketEcho
from harness.proxy import Proxy, in_http
from harness.redis_server import RedisServer
from harness.sources import Consul, Docker, container, instance
from harness.waiting import eventually

GROUP = "upstream back { zone back 64k; servers_from SOURCE; }\n"
SERVER = """
    websocket_drain 500ms code=4000 removed;
    server {
        listen 127.0.0.1:{port:front};
        location / { websocket auto; proxy_pass http://back; }
    }
"""


def configuration(source: str, workers: int = 1, more: str = "") -> str:
    return f"worker_processes {workers};\n" + in_http(GROUP.replace("SOURCE", source) + SERVER + more)


@pytest.fixture
def echoes() -> Iterator[dict[str, WebSocketEcho]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(WebSocketEcho(name)) for name in "abc"}


def name(front: Proxy) -> str:
    """Which backend a new tunnel leads to; "" where there is none, or where it was drained just now."""
    try:
        with connect(front.url("/", "ws"), open_timeout=10) as client:
            client.send("name?")
            return str(client.recv(10))
    except (InvalidStatus, ConnectionClosed):
        return ""


def names(front: Proxy, count: int = 6) -> str:
    """Which backends so many tunnels lead to, each once, in order."""
    return "".join(sorted({name(front) for _ in range(count)}))


def reaches(front: Proxy, wanted: str) -> None:
    eventually(lambda: names(front) == wanted, 30, why=f"tunnels lead to {wanted}")


class ListFile:
    """A file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tell(self, found: object) -> None:
        text = found if isinstance(found, str) else json.dumps(found)
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.path)


@pytest.fixture
def listed(tmp_path: Path) -> ListFile:
    tmp_path.chmod(0o755)
    return ListFile(tmp_path / "servers.json")


def source(listed: ListFile, more: str = "") -> str:
    return f"file://{listed.path} keep=off{more}"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_file_is_followed(proxy: Any, echoes: dict[str, WebSocketEcho], listed: ListFile, workers: int) -> None:
    port = {each: echo.port for each, echo in echoes.items()}
    listed.tell([f"127.0.0.1:{port['a']}"])
    front = proxy(configuration(source(listed), workers))
    assert names(front) == "a"
    listed.tell({"servers": [{"server": f"127.0.0.1:{port[each]}", "weight": 2} for each in "ab"]})
    reaches(front, "ab")
    listed.tell(f"server 127.0.0.1:{port['c']};\n")
    reaches(front, "c")
    front.logged("servers from file://", name="error.log")


def test_tunnels_to_who_has_gone_or_is_ending_are_drained_and_others_stay(
    proxy: Any, echoes: dict[str, WebSocketEcho], listed: ListFile
) -> None:
    addresses = {each: f"127.0.0.1:{echo.port}" for each, echo in echoes.items()}
    listed.tell(list(addresses.values()))
    front = proxy(configuration(source(listed)))
    with ExitStack() as stack:
        clients = {}
        for _ in range(3):
            client = stack.enter_context(connect(front.url("/", "ws")))
            client.send("name?")
            clients[client.recv(10)] = client
        listed.tell([addresses["a"], {"server": addresses["b"], "terminating": True}])
        for gone in "bc":
            with pytest.raises(ConnectionClosed) as ended:
                clients[gone].recv(timeout=20)
            assert ended.value.rcvd is not None and ended.value.rcvd.code == 4000
        clients["a"].send("name?")
        assert clients["a"].recv(10) == "a"
        assert names(front) == "a"


def test_what_is_no_list_changes_nothing(proxy: Any, echoes: dict[str, WebSocketEcho], listed: ListFile) -> None:
    address = f"127.0.0.1:{echoes['a'].port}"
    listed.tell([address])
    front = proxy(configuration(source(listed)), expect=["the last good list stays"])
    for bad, said in (("[1,", "it is no JSON"), ("[]", "the list is empty"), ("server nowhere.invalid;", "not found")):
        listed.tell(bad)
        front.logged(said, name="error.log")
        assert names(front, 2) == "a"
    listed.tell([f"127.0.0.1:{echoes['b'].port}"])
    reaches(front, "b")
    assert front.error_log().count("it is no JSON") == 1


def test_an_empty_list_counts_where_that_is_wanted(
    proxy: Any, echoes: dict[str, WebSocketEcho], listed: ListFile
) -> None:
    listed.tell([f"127.0.0.1:{echoes['a'].port}"])
    front = proxy(configuration(source(listed, " empty=allow")), expect=["no live upstreams"])
    assert names(front, 2) == "a"
    listed.tell([])
    reaches(front, "")
    listed.tell([f"127.0.0.1:{echoes['a'].port}"])
    reaches(front, "a")


def test_a_reload_goes_on_with_the_newest_list(proxy: Any, echoes: dict[str, WebSocketEcho], listed: ListFile) -> None:
    listed.tell([f"127.0.0.1:{echoes['a'].port}"])
    text = configuration(source(listed), 2)
    front = proxy(text)
    listed.tell([f"127.0.0.1:{echoes['b'].port}"])
    reaches(front, "b")
    with connect(front.url("/", "ws")) as client:
        for _ in range(3):
            front.reload(text)
            assert names(front) == "b"
        client.send("name?")
        assert client.recv(10) == "b"
    listed.tell([f"127.0.0.1:{echoes['c'].port}"])
    reaches(front, "c")


def test_a_start_without_the_source_has_the_last_good_list(
    proxy: Any, echoes: dict[str, WebSocketEcho], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    with Consul() as consul:
        where = f"consul://127.0.0.1:{consul.port}/chat keep={kept}"
        consul.tell([instance(echoes["a"].port)])
        reaches(proxy(configuration(where)), "a")
        eventually(kept.exists)
    front = proxy(configuration(where), expect=["the last good list stays"])
    assert names(front) == "a"


def test_consul_is_asked_by_blocking_queries(proxy: Any, echoes: dict[str, WebSocketEcho], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-of-consul\n")
    with Consul() as consul:
        consul.tell([instance(echoes["a"].port)])
        where = f"consul://127.0.0.1:{consul.port}/chat?passing&tag=blue&token_file={token} keep=off"
        front = proxy(configuration(where))
        reaches(front, "a")
        path, headers = consul.asked[0]
        assert path == "/v1/health/service/chat?tag=blue&passing=1"
        assert headers["x-consul-token"] == "secret-of-consul"
        asked = len(consul.asked)
        consul.tell([instance(echoes["b"].port), instance(echoes["c"].port, "warning", Warning=3)])
        reaches(front, "bc")
        assert len(consul.asked) <= asked + 3, "it is asked when there is something new, and not all the time"
        assert "index=" in consul.asked[-1][0]
        assert "secret-of-consul" not in front.error_log()


def test_docker_tells_by_events(proxy: Any, echoes: dict[str, WebSocketEcho], tmp_path: Path) -> None:
    with Docker(tmp_path / "d.sock") as docker:
        docker.list = [container(echoes["a"].port)]
        where = f"docker://{tmp_path}/d.sock?label=penstock.upstream=chat keep=off"
        front = proxy(configuration(where))
        reaches(front, "a")
        docker.tell([container(echoes["b"].port), container(echoes["c"].port, status="Up 1 second (health: starting)")])
        reaches(front, "b")
        docker.tell([container(echoes["b"].port, status="Up (unhealthy)"), container(echoes["c"].port)])
        reaches(front, "c")


def test_many_events_are_answered_by_one_list(proxy: Any, echoes: dict[str, WebSocketEcho], tmp_path: Path) -> None:
    with Docker(tmp_path / "d.sock") as docker:
        docker.list = [container(echoes["a"].port)]
        front = proxy(configuration(f"docker://{tmp_path}/d.sock?label=penstock.upstream=chat keep=off"))
        reaches(front, "a")
        for _ in range(200):
            docker.tell(docker.list)
        docker.tell([container(echoes["b"].port)])
        reaches(front, "b")
        assert sum(path.startswith("/containers/json") for path, _ in docker.asked) < 20


def test_docker_by_the_names_of_nginx_proxy(proxy: Any, echoes: dict[str, WebSocketEcho], tmp_path: Path) -> None:
    with Docker(tmp_path / "d.sock") as docker:
        docker.environments = {
            "aa": ["VIRTUAL_HOST=other.test"],
            "bb": ["VIRTUAL_HOST=www.chat.test, chat.test", f"VIRTUAL_PORT={echoes['b'].port}"],
        }
        docker.list = [container(echoes["a"].port, "aa"), container(1, "bb")]
        front = proxy(configuration(f"docker://{tmp_path}/d.sock?virtual_host=chat.test keep=off"))
        reaches(front, "b")


def test_a_key_in_redis(proxy: Any, echoes: dict[str, WebSocketEcho]) -> None:
    with RedisServer() as redis:
        redis.start()
        client = redis.client()
        client.set("servers", json.dumps([f"127.0.0.1:{echoes['a'].port}"]))
        where = f"redis://127.0.0.1:{redis.port}/servers keep=off"
        front = proxy(configuration(where))
        reaches(front, "a")
        client.delete("servers")
        client.sadd("servers", f"127.0.0.1:{echoes['b'].port}", f"127.0.0.1:{echoes['c'].port}")
        reaches(front, "bc")
        client.delete("servers")
        client.hset("servers", f"127.0.0.1:{echoes['b'].port}", "drain")
        client.hset("servers", f"127.0.0.1:{echoes['a'].port}", "weight=3")
        reaches(front, "a")


def test_a_source_that_flaps_changes_the_group_once_a_second(
    proxy: Any, echoes: dict[str, WebSocketEcho], listed: ListFile
) -> None:
    addresses = [f"127.0.0.1:{echo.port}" for echo in echoes.values()]
    listed.tell(addresses)
    front = proxy(configuration(source(listed, " debounce=0")))
    began = time.monotonic()
    for turn in range(60):
        listed.tell(addresses[: 1 + turn % 3])
        time.sleep(0.05)
    listed.tell(addresses[:1])
    reaches(front, "a")
    took = time.monotonic() - began
    assert front.error_log().count("servers from file://") <= took + 3


def test_upstreams_are_shown_with_their_addresses(
    proxy: Any, echoes: dict[str, WebSocketEcho], listed: ListFile
) -> None:
    address = f"127.0.0.1:{echoes['a'].port}"
    listed.tell([address])
    api = "server { listen 127.0.0.1:{port:api}; location /api { api write=on; allow all; } }\n"
    front = proxy(configuration(source(listed), 2, api))
    reaches(front, "a")
    url = f"http://127.0.0.1:{front.port('api')}/api/9/http/upstreams/back"
    with urllib.request.urlopen(url, timeout=10) as response:
        told = json.load(response)
    assert [each["server"] for each in told["peers"]] == [address]


def test_without_a_master_it_is_said_that_nobody_follows(
    proxy: Any, echoes: dict[str, WebSocketEcho], listed: ListFile
) -> None:
    listed.tell([f"127.0.0.1:{echoes['a'].port}"])
    front = proxy("master_process off;\n" + configuration(source(listed)), expect=["master_process off"])
    assert names(front, 2) == "a"
    front.logged("servers_from goes by the list it began with: there is no discovery process", name="error.log")
