"""`penstock tunnels --fleet` and its kin: every machine answers for itself, and nothing is stored."""

import json
import re
import subprocess

import pytest

from harness.machines import BASE, joined, open_tunnel
from harness.redis_server import RedisServer
from harness.waiting import eventually

pytest.importorskip("redis")

NODE = """
worker_processes 2;
fleet {value:redis} lease=2s timeout=500ms;
http {
    upstream app { zone app 64k; server 127.0.0.1:{port:ws}; server 127.0.0.1:{port:ws} backup; }
    server {
        listen 127.0.0.1:{port:front} reuseport;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
        location /other { proxy_pass http://app; }
    }
}
"""


@pytest.fixture
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture
def pair(proxy, ws_backend, redis):
    found = [proxy(NODE, ports={"ws": ws_backend.port}, values={"redis": redis.address}) for _ in range(2)]
    joined(redis, 4)
    return found


def penstock(front, *words):
    own = ["--socket", f"{front.directory}/nginx.control"]
    return subprocess.run(
        [*front.binary.command, *words, *own], capture_output=True, text=True, timeout=60, check=False
    )


def asked(front, *more):
    done = penstock(front, "tunnels", "--fleet", "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(front, *more):
    """What all say: on a machine that is busy with other things, one may answer later than anybody waits."""
    found = {}

    def all_of_them():
        found.update(asked(front, *more))
        return found["silent"] == 0

    eventually(all_of_them, 30.0)
    return found


def test_all_machines_are_listed_filtered_and_paged(pair, redis) -> None:
    clients = [open_tunnel(pair[turn % 2], f"/{turn}") for turn in range(10)]
    assert all(clients)
    eventually(lambda: listed(pair[0])["open"] == 10)
    for front in pair:
        found = listed(front)
        assert (found["machines"], found["silent"], found["matched"]) == (2, 0, 10)
        assert len({entry["id"].partition("/")[0] for entry in found["tunnels"]}) == 2
    # The oldest first, by when they began: each worker tells the age of another moment.
    nodes = [entry["id"].partition("/")[0] for entry in found["tunnels"]]
    assert nodes == nodes[:2] * 5
    pages = [listed(pair[0], "--limit", "4", "--offset", str(at))["tunnels"] for at in (0, 4, 8)]
    assert [len(page) for page in pages] == [4, 4, 2]
    assert len({entry["id"] for page in pages for entry in page}) == 10
    (one,) = listed(pair[1], "--id", found["tunnels"][0]["id"])["tunnels"]
    assert one["id"] == found["tunnels"][0]["id"]
    assert listed(pair[0], "--location", "/none")["matched"] == 0
    # A worker that is late with its answer is left out, and who asks is told so: as `listed` does, they ask again.
    said = "10 open in 4 workers on 2 machines"
    whole = re.compile(f"MACHINE .*{said}", re.DOTALL)
    eventually(lambda: whole.match(penstock(pair[0], "tunnels", "--fleet").stdout))
    # Nothing of a tunnel is in Redis.
    keys = redis.client().keys("*")
    assert {key.decode().removeprefix(BASE)[:3] for key in keys} <= {"", ":l", ":l:"}


def test_close_reaches_other_machines(pair) -> None:
    clients = [open_tunnel(pair[turn % 2], "/") for turn in range(4)]
    (first,) = listed(pair[0], "--limit", "1")["tunnels"]
    done = penstock(pair[0], "tunnels", "close", "--fleet", "--id", first["id"])
    assert "1 tunnel is closed" in done.stdout
    done = penstock(pair[1], "tunnels", "close", "--fleet", "--all", "--code", "1012")
    assert "closed with 1012" in done.stdout
    assert len(clients) == 4
    eventually(lambda: listed(pair[0])["matched"] == len(listed(pair[0], "--state", "closing")["tunnels"]))


def test_servers_are_drained_on_all_machines(pair) -> None:
    name = f"app/127.0.0.1:{pair[0].ports['ws']}"
    eventually(lambda: penstock(pair[0], "drain", name, "--fleet").returncode == 0)
    for front in pair:
        assert "drain" in penstock(front, "upstreams").stdout
    done = penstock(pair[1], "upstreams", "--fleet", "--json")
    (app,) = json.loads(done.stdout)
    assert app["name"] == "app"
    eventually(lambda: penstock(pair[0], "drain", name, "--fleet", "--undo").returncode == 0)


def test_a_machine_that_is_gone_is_not_waited_for_long(pair) -> None:
    open_tunnel(pair[0], "/")
    pair[1].kill()
    assert asked(pair[0])["machines"] in (1, 2)
    assert listed(pair[0])["machines"] == 1


def test_without_redis_it_says_so(pair, redis) -> None:
    redis.kill()
    eventually(lambda: "fleet:" in pair[0].error_log())
    done = penstock(pair[0], "tunnels", "--fleet")
    assert done.returncode == 3
    assert "does not answer, by which the fleet is asked" in done.stderr


def test_strangers_in_the_channel_do_no_harm(pair, redis) -> None:
    client = redis.client()
    for words in (b"", b"{}", b"[" * 5000, b'{"id":"x","from":1,"to":[],"question":{}}', b"\xff" * 70000):
        client.publish(f"{BASE}:ask", words)
    question = {"id": "a" * 16, "from": "x:y", "to": None, "question": {"do": "terminate"}}
    client.publish(f"{BASE}:ask", json.dumps(question))
    for lease in client.zrange(f"{BASE}:l", 0, -1):
        client.publish(f"{BASE}:to:".encode() + lease, b"nonsense" * 10)
    assert listed(pair[0])["silent"] == 0
