"""Upgrade after upgrade, some rolled back, under tunnels: nobody notices, and nothing stays behind (`make soak`)."""

import os
import signal
from pathlib import Path

import pytest

from harness.crowd import Crowd, EchoServers
from harness.processes import children, gone, resident
from harness.waiting import eventually

UPGRADES = int(os.environ.get("PENSTOCK_SOAK", "0")) // 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not UPGRADES, reason="takes minutes: make soak"),
]

SITE = """
    worker_processes 2;
    events { worker_connections 2048; }
    http {
        upstream app { least_conn; server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; }
        server {
            listen 127.0.0.1:{port:front};
            location /plain {
                proxy_pass http://app;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }
            location /watched {
                websocket auto;
                websocket_ping 5s;
                proxy_pass http://app;
            }
        }
    }
    """


def figures(master: int) -> tuple[int, int]:
    """Descriptors of master and workers, and kilobytes of the workers."""
    workers = children(master)
    descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (master, *workers))
    return descriptors, resident(*workers) // 1024


def test_upgrade_after_upgrade(proxy) -> None:
    with EchoServers(2) as echo:
        front = proxy(SITE, ports={"one": echo.ports[0], "two": echo.ports[1]}, fresh=True)
        with Crowd(front.port(), interval=0.2, size=3000) as crowd:
            crowd.open(300, "/plain", "/watched")
            before = None
            for turn in range(UPGRADES):
                old = front.pid
                front.send_signal(signal.SIGUSR2)
                eventually(lambda old=old: _pid(front) not in (0, old), 20)
                new = front.pid
                eventually(lambda new=new: len(children(new)) == 2, 20)
                leaving = new if turn % 3 == 2 else old
                os.kill(leaving, signal.SIGQUIT)
                eventually(lambda leaving=leaving: gone(leaving), 30)
                eventually(lambda: not (front.directory / "nginx.pid.oldbin").exists(), 20)
                now = figures(front.pid)
                print(f"{turn}: {now[0]} descriptors, {now[1]} KiB, {crowd.report().latest:.3f} s")
                before = before or now
            assert abs(now[0] - before[0]) <= 4
            assert now[1] < before[1] * 1.1
            told = crowd.settle()
            assert told.unharmed(300), told
        last = front.pid
        os.kill(last, signal.SIGTERM)
        eventually(lambda: gone(last))


def _pid(front) -> int:
    try:
        return int((front.directory / "nginx.pid").read_text() or 0)
    except FileNotFoundError:
        return 0
