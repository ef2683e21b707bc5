"""A thousand reloads: as many processes, descriptors and kilobytes at the end as at the beginning (`make soak`)."""

import os
import signal
import time

import pytest

from harness.crowd import Crowd, EchoServers
from harness.processes import resident
from harness.waiting import eventually

RELOADS = int(os.environ.get("PENSTOCK_SOAK", "0"))
SETTLED = 50
"""Reloads after which memory has found its size."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not RELOADS, reason="takes minutes: make soak"),
]

SITE = """
    worker_processes 2;
    events {{ worker_connections 2048; }}
    http {{
        limit_req_zone $uri zone=zone{zone}:64k rate=1000r/s;
        upstream app {{
            zone app 256k;
            least_conn;
            server 127.0.0.1:{{port:one}};
            server 127.0.0.1:{{port:two}};
            {more}
        }}
        server {{
            listen 127.0.0.1:{{port:front}};
            {listen}
            access_log access{log}.log;
            location / {{
                limit_req zone=zone{zone} burst=1000 nodelay;
                proxy_pass http://app;
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }}
            location /number {{ return 200 {number}; }}
            {locations}
        }}
    }}
    """


def site(number: int) -> str:
    return SITE.format(
        number=number,
        zone=number % 3,
        log=number % 2,
        more=f"server 127.0.0.1:{1 + number % 200} backup;",
        listen="listen 127.0.0.1:{port:other};" if number % 2 else "",
        locations="".join(f"location /{each} {{ return 200 {each}; }}" for each in range(100 + number % 7)),
    )


def size(pid: int) -> tuple[int, int]:
    """Kilobytes and descriptors."""
    return resident(pid) // 1024, len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def test_reloads_leave_nothing_behind(proxy) -> None:
    with EchoServers(2) as echo:
        front = proxy(site(0), ports={"one": echo.ports[0], "two": echo.ports[1]}, fresh=True)
        eventually(lambda: len(front.children()) == 2)
        pids = {front.pid, *front.children()}
        before: dict[int, tuple[int, int]] = {}
        with Crowd(front.port(), interval=0.5) as crowd:
            assert crowd.open(100, "/").open == 100
            for number in range(1, RELOADS + 1):
                front.configure(site(number))
                front.send_signal(signal.SIGHUP)
                eventually(lambda n=number: front.get("/number").text == str(n), 30, every=0.01)
                if not number % 10:
                    # Some of the tunnels are of each configuration that there was.
                    crowd.leave(5)
                    assert crowd.open(5, "/").open == 100
                if number == min(SETTLED, RELOADS // 2):
                    time.sleep(2)
                    before = {pid: size(pid) for pid in pids}
            time.sleep(2)
            after = {pid: size(pid) for pid in pids}
            told = crowd.settle()
            assert told.open == 100 and not (told.wrong or told.dropped or told.outstanding), told
        assert {front.pid, *front.children()} == pids
        for pid, (kilobytes, _) in before.items():
            assert after[pid][0] < 1.1 * kilobytes, (before, after)
        # Tunnels that come and go are now here and now there.
        assert sum(size[1] for size in after.values()) <= sum(size[1] for size in before.values()) + 8, (before, after)
        print(f"\n{RELOADS} reloads: {before} -> {after}")
