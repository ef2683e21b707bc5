"""A drain's budget: no second sees more goodbyes than that, on one machine or on several."""

import signal
import threading
import time
from bisect import bisect_left

import pytest

from harness.machines import joined, open_tunnel
from harness.redis_server import RedisServer
from harness.waiting import eventually

pytest.importorskip("redis")

NODE = """
worker_processes 2;
{value:fleet}
http {
    websocket_drain 100ms budget=20/s {value:more};
    server {
        listen 127.0.0.1:{port:front} reuseport;
        location /status { status; }
        location / {
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


def watch(fronts, count):
    """Open `count` tunnels at each machine, and note when each of them was told goodbye, by machine."""
    times = [[] for _ in fronts]
    threads = []

    def wait(client, noted) -> None:
        client.recv_until(b"\x88")
        noted.append(time.monotonic())
        client.send(b"\x88\x82\0\0\0\0\x03\xf4")

    for _ in range(count):
        for front, noted in zip(fronts, times, strict=True):
            client = open_tunnel(front, "/")
            assert client is not None
            threads.append(threading.Thread(target=wait, args=(client, noted), daemon=True))
            threads[-1].start()
    for front in fronts:
        front.send_signal(signal.SIGQUIT)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return times


class Stall:
    """The longest for which this process was not let to run: goodbyes are noted late by that much."""

    def __enter__(self):
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._over.wait(0.01):
            now = time.monotonic()
            self.longest = max(self.longest, now - before - 0.01)
            before = now

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()


def fullest_second(times, stall):
    """The most goodbyes in one second, or in what may have been one."""
    times = sorted(times)
    second = 1.0 - min(0.5, stall.longest)
    return max(bisect_left(times, begin + second) - at for at, begin in enumerate(times))


@pytest.mark.parametrize("machines", [1, 2])
def test_no_second_is_too_full(proxy, ws_backend, redis, machines) -> None:
    fleet = f"fleet {redis.address} lease=2s timeout=500ms;" if machines > 1 else ""
    values = {"fleet": fleet, "more": ""}
    fronts = [proxy(NODE, ports={"ws": ws_backend.port}, values=values) for _ in range(machines)]
    if fleet:
        joined(redis, 2 * machines)
    with Stall() as stall:
        times = watch(fronts, 60 // machines)
    gone = [each for noted in times for each in noted]
    assert len(gone) == 60
    assert fullest_second(gone, stall) <= 20
    assert max(gone) - min(gone) > 2.5


def test_one_machine_at_a_time(proxy, ws_backend, redis) -> None:
    values = {"fleet": f"fleet {redis.address} lease=2s timeout=500ms;", "more": "one_by_one"}
    fronts = [proxy(NODE, ports={"ws": ws_backend.port}, values=values) for _ in range(2)]
    joined(redis, 4)
    one, two = sorted(watch(fronts, 15), key=min)
    assert max(one) < min(two)
    assert len(one) == len(two) == 15


def test_a_lost_redis_leaves_each_machine_its_share(proxy, ws_backend, redis) -> None:
    values = {"fleet": f"fleet {redis.address} lease=2s timeout=500ms;", "more": ""}
    fronts = [proxy(NODE, ports={"ws": ws_backend.port}, values=values) for _ in range(2)]
    joined(redis, 4)
    # Each worker has to know of both machines: a request may come to either worker.
    for _ in range(10):
        eventually(lambda: all('"machines":2' in front.get("/status").text for front in fronts))
    redis.kill()
    with Stall() as stall:
        gone = [each for noted in watch(fronts, 15) for each in noted]
    assert len(gone) == 30
    assert fullest_second(gone, stall) <= 20


def test_one_by_one_needs_a_budget(proxy) -> None:
    refusal = proxy.check("events { } http { websocket_drain 1s one_by_one; }")
    assert refusal.code == 1
    assert '"one_by_one" needs a budget' in refusal.output
