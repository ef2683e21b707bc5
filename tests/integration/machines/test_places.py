"""limit_conn over several machines: places are counted by Redis, whatever becomes of machines, of Redis, of the way."""

import json
import os
import signal
import time

import pytest

from harness.machines import BASE, HANDSHAKE, Cable, counted, handshake, joined, open_tunnel
from harness.redis_server import RedisServer
from harness.waiting import eventually

pytest.importorskip("redis")

TIMES = "lease=2s timeout=500ms"
NODE = """
worker_processes {value:workers};
fleet {value:redis} {value:times} {value:more};
http {
    limit_conn_zone $arg_user zone=users:1m sync;
    limit_conn_zone $server_name zone=all:1m sync;
    server {
        listen 127.0.0.1:{port:front} reuseport;
        server_name machine;
        location /status { status; }
        location / {
            limit_conn users {value:most};
            limit_conn all 100;
            limit_conn_status 429;
            proxy_pass http://127.0.0.1:{port:ws};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
}
"""


@pytest.fixture
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture
def machines(proxy, ws_backend, redis):
    def start(number=2, *, workers=1, most=4, more="", times=TIMES, address=None, expect=()):
        found = [
            proxy(
                NODE,
                ports={"ws": ws_backend.port},
                values={
                    "workers": workers,
                    "redis": address or redis.address,
                    "times": times,
                    "more": more,
                    "most": most,
                },
                expect=expect,
            )
            for _ in range(number)
        ]
        joined(redis, number * workers)
        eventually(lambda: all(fleet(front)["machines"] == number for front in found))
        return found

    return start


def fleet(front):
    """What a machine says of the fleet."""
    return json.loads(front.get("/status").body)["fleet"]


def fill(fronts, target="/?user=a", tries=12):
    """Open tunnels, one machine after the other, as many as are admitted."""
    found = [open_tunnel(fronts[turn % len(fronts)], target) for turn in range(tries)]
    return [each for each in found if each is not None]


@pytest.mark.parametrize("workers", [1, 2])
def test_machines_count_together(machines, redis, workers) -> None:
    fronts = machines(2, workers=workers)
    clients = fill(fronts)
    assert len(clients) == 4
    assert len(fill(fronts, "/?user=b")) == 4
    assert handshake(fronts[0], "/?user=a")[1] == 429
    assert 'limiting connections by zone "users" of the fleet' in "".join(each.error_log() for each in fronts)
    clients.pop().close()
    clients.append(eventually(lambda: open_tunnel(fronts[0], "/?user=a")))
    assert handshake(fronts[1], "/?user=a")[1] == 429


def test_four_machines_and_many_at_once(machines, redis) -> None:
    # Nobody goes by a count of his own because the machine of the tests is busy.
    fronts = machines(4, most=10, times="lease=30s timeout=10s")
    asked = []
    for turn in range(40):
        client = fronts[turn % 4].client()
        asked.append(client)
    for client in asked:
        client.send(HANDSHAKE.format(target="/?user=a", more=""))
    statuses = [int(client.recv_until(b"\r\n\r\n").split()[1]) for client in asked]
    assert statuses.count(101) == 10
    assert statuses.count(429) == 30


def test_a_machine_that_is_killed_gives_its_places_back_within_a_lease(machines, redis) -> None:
    one, two = machines(2)
    held = fill([one], tries=4)
    assert len(held) == 4
    assert open_tunnel(two, "/?user=a") is None
    one.kill()
    began = time.monotonic()
    first = eventually(lambda: open_tunnel(two, "/?user=a"), 20.0)
    assert time.monotonic() - began > 0.3, "not before the lease is over"
    assert len([first, *fill([two], tries=8)]) == 4


def test_a_machine_that_leaves_gives_its_places_back_at_once(machines, redis) -> None:
    one, two = machines(2)
    assert len(fill([one], tries=4)) == 4
    one.stop()
    assert counted(redis) == 0
    assert len(fill([two], tries=6)) == 4


def test_an_emptied_redis_hears_the_truth_again(machines, redis) -> None:
    fronts = machines(2)
    kept = fill(fronts)
    assert len(kept) == 4
    redis.client().flushall()
    joined(redis, 2)
    eventually(lambda: counted(redis) == 8, why="every place in two zones")
    assert fill(fronts, tries=4) == []


def test_redis_that_forgot_its_scripts_is_told_them(machines, redis) -> None:
    fronts = machines(2)
    redis.client().script_flush()
    assert len(fill(fronts)) == 4


def test_redis_that_stands_still_costs_one_timeout_and_touches_no_tunnel(machines, redis) -> None:
    fronts = machines(2)
    kept = fill(fronts, tries=2)
    redis.pause()
    try:
        began = time.monotonic()
        more = fill(fronts, tries=20)
        took = time.monotonic() - began
        # Each machine has half of 4 now, and one of them each was taken before.
        assert len(more) == 2
        assert took < 20 * 0.5, "only the first ones wait for an answer"
        for client in kept:
            client.send(b"\x81\x82\0\0\0\0hi")
            assert client.recv_until(b"hi")
    finally:
        redis.go_on()
    eventually(lambda: counted(redis) == 8)
    joined(redis, 2)
    assert fill(fronts, tries=4) == []
    for front in fronts:
        lines = [line for line in front.error_log().splitlines() if "fleet:" in line]
        assert len(lines) == 1, lines
        assert "until it does, this machine's share of the limits counts" in lines[0]
        assert fleet(front)["state"] == "up"
        assert fleet(front)["losses"] == 1


def test_a_restarted_redis_hears_the_truth_again(machines, redis) -> None:
    fronts = machines(2)
    kept = fill(fronts, tries=3)
    redis.kill()
    eventually(lambda: all("fleet:" in front.error_log() for front in fronts))
    redis.start()
    joined(redis, 2)
    assert counted(redis) == 6
    assert len(fill(fronts)) == 1
    for client in kept:
        client.send(b"\x81\x82\0\0\0\0hi")
        assert client.recv_until(b"hi")


@pytest.mark.parametrize(("how", "admitted"), [("open", 4), ("closed", 0), ("local", 2)])
def test_on_error(machines, redis, how, admitted) -> None:
    one, two = machines(2, more=f"on_error={how}")
    redis.kill()
    eventually(lambda: "fleet:" in one.error_log() and "fleet:" in two.error_log())
    assert len(fill([one], tries=6)) == admitted


def test_a_cut_cable(machines, proxy, ws_backend, redis) -> None:
    """One machine of two is cut off: it has its share, the other one gets what its lease held, and both agree again."""
    with Cable(redis.port) as cable:
        (one,) = machines(1)
        two = proxy(
            NODE,
            ports={"ws": ws_backend.port},
            values={
                "workers": 1,
                "redis": f"redis://127.0.0.1:{cable.port}/0",
                "times": TIMES,
                "more": "",
                "most": 4,
            },
        )
        joined(redis, 2)
        eventually(lambda: fleet(two)["machines"] == 2)
        kept = fill([two], tries=3)
        assert len(kept) == 3
        cable.cut.set()
        assert fill([two], tries=3) == [], "its share is two, and it has three"
        eventually(lambda: counted(redis) == 0, 20.0, why="the lease of the one that was cut off is over")
        # Somebody has to ask, for the dead to be seen.
        cable.cut.clear()
        eventually(lambda: counted(redis) == 6, 20.0)
        assert len(fill([one, two], tries=6)) == 1


def test_a_reload_keeps_places_and_may_go_to_another_redis(machines, redis) -> None:
    fronts = machines(2)
    kept = fill(fronts, tries=3)
    for front in fronts:
        front.reload()
    kept += fill(fronts, tries=4)
    assert len(kept) == 4
    with RedisServer() as other:
        for front in fronts:
            front.values["redis"] = other.address
            front.reload(NODE)
        joined(other, 2)
        eventually(lambda: counted(other) == 8)
        assert counted(redis) == 0


def test_an_upgrade_takes_its_places_along(machines, redis) -> None:
    one, two = machines(2)
    kept = fill([one], tries=3)
    before = one.pid
    os.kill(before, signal.SIGUSR2)
    one.successor(before)
    os.kill(before, signal.SIGQUIT)
    eventually(lambda: not (one.directory / "nginx.pid.oldbin").exists(), 30.0)
    joined(redis, 2)
    eventually(lambda: counted(redis) == 6)
    assert len(fill([two, one], tries=4)) == 1
    for client in kept:
        client.send(b"\x81\x82\0\0\0\0hi")
        assert client.recv_until(b"hi")


def test_keys_are_digests_and_bounded(machines, redis) -> None:
    fronts = machines(2)
    kept = fill(fronts, "/?user=somebody-with-a-name")
    client = redis.client()
    assert kept
    found = client.hkeys(f"{BASE}:t")
    assert all(len(key) == 16 for key in found)
    assert not any(b"somebody" in key for key in client.keys("*"))
    # A key that a request has made has its end from the next renewal on.
    eventually(lambda: all(0 < client.pttl(key) <= 20 * 2000 for key in client.keys("*")))
