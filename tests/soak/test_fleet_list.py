"""Ten thousand tunnels over two machines, in one list: `penstock tunnels --fleet`."""

import json
import os
import resource
import subprocess
import time
from pathlib import Path

import pytest

from harness.crowd import Crowd, EchoServers
from harness.machines import joined
from harness.redis_server import RedisServer
from harness.waiting import eventually

pytest.importorskip("redis")

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
SPARE = 300
EACH = 5000 if HARD == resource.RLIM_INFINITY else min(5000, (HARD - SPARE) // 2)
"""Tunnels of one machine, of which each takes two descriptors: fewer than 5,000 where the system allows no more."""
NEEDED = 2 * EACH + SPARE
WITHIN = 2.0
"""Seconds in which the command has to have told of all."""
LOOKS = 5
"""One of so many has to be in time: the machine may be busy with other things."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes a minute: make soak"),
]

NODE = f"""
worker_rlimit_nofile {NEEDED};
fleet {{value:redis}};
events {{ worker_connections {NEEDED}; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{{port:front}} backlog=4096;
        location / {{ websocket auto; proxy_pass http://127.0.0.1:{{port:back}}; proxy_read_timeout 1h; }}
    }}
}}
"""


def listed(front):
    """What `penstock tunnels --fleet` says of all, and the seconds it took."""
    words = ["tunnels", "--fleet", "--json", "--limit", str(2 * EACH), "--socket", f"{front.directory}/nginx.control"]
    began = time.monotonic()
    done = subprocess.run(
        [*front.binary.command, *words], capture_output=True, text=True, timeout=60, check=False
    )
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), took


def spent(*fronts):
    """Seconds that the commands up to now and the workers have had of a processor."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    lists = (Path(f"/proc/{pid}/schedstat").read_text() for front in fronts for pid in front.children())
    return ended.ru_utime + ended.ru_stime + sum(int(text.split()[0]) for text in lists) / 1e9


def test_ten_thousand_tunnels_of_two_machines_in_one_list(proxy) -> None:
    with RedisServer() as redis, EchoServers() as echo:
        one, two = (
            proxy(NODE, ports={"back": echo.port}, values={"redis": redis.address}, fresh=True) for _ in range(2)
        )
        joined(redis, 2)
        with Crowd(one.port(), interval=3600) as first, Crowd(two.port(), interval=3600) as second:
            assert first.open(EACH).open == EACH
            assert second.open(EACH).open == EACH
            first.settle()
            second.settle()
            eventually(lambda: listed(one)[0]["open"] == 2 * EACH)
            before = spent(one, two)
            looks = [listed(one) for _ in range(LOOKS)]
            busy = (spent(one, two) - before) / LOOKS
    whole = [took for found, took in looks if found["silent"] == 0 and len(found["tunnels"]) == 2 * EACH]
    assert whole, "nobody was silent, and every tunnel is in the list"
    took = f"{min(whole):.2f} to {max(whole):.2f} s, {busy:.2f} s of a processor in the command and both workers"
    print(f"\n{2 * EACH} tunnels of two machines: {took}")
    assert min(whole) < WITHIN
