"""New connections go to all workers alike, also when one worker could do all the work."""

import os
from collections import Counter

import pytest

from harness.crowd import Crowd, EchoServers
from harness.proxy import in_http
from harness.waiting import eventually

pytestmark = pytest.mark.alone

CONFIGURATION = "worker_processes 2;\n" + in_http(
    """
    access_log off;
    server { listen 127.0.0.1:{port:front}; location / { return 200 $pid; } }
    """
)

TUNNELS = """
    worker_processes 2;
    events { worker_connections 2048; }
    http {
        server {
            listen 127.0.0.1:{port:front};
            location / {
                proxy_pass http://127.0.0.1:{port:back};
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }
        }
    }
    """


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def test_no_worker_gets_most_of_the_connections(proxy) -> None:
    front = proxy(CONFIGURATION)
    served = Counter(front.get("/").body for _ in range(200))
    assert len(served) == 2
    assert max(served.values()) <= 140, served


def test_no_worker_gets_most_of_a_burst_of_tunnels(proxy) -> None:
    with EchoServers() as echo:
        front = proxy(TUNNELS, ports={"back": echo.port})
        eventually(lambda: len(front.children()) == 2)
        workers = front.children()
        before = [descriptors(each) for each in workers]
        with Crowd(front.port(), interval=60) as crowd:
            crowd.open(600)
            taken = [descriptors(each) - early for each, early in zip(workers, before, strict=True)]
    assert max(taken) <= 0.6 * 2 * 600, taken
