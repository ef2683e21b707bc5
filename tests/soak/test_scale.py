"""Ten thousand tunnels on one worker: nothing to do while they are silent, and no more to do for each message."""

import os
import resource
from pathlib import Path
from time import sleep

import pytest

from harness.crowd import Crowd, EchoServers
from harness.proxy import Proxy
from harness.waiting import eventually

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
SPARE = 300
WANTED = 10000 if HARD == resource.RLIM_INFINITY else min(10000, (HARD - SPARE) // 2)
"""A tunnel takes two descriptors of the worker: fewer than 10,000 where the system allows no more (`ulimit -Hn`)."""
NEEDED = 2 * WANTED + SPARE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes a minute: make soak"),
]

SITE = f"""
    worker_processes 1;
    worker_rlimit_nofile {NEEDED};
    events {{ worker_connections {NEEDED}; }}
    http {{
        access_log off;
        server {{
            listen 127.0.0.1:{{port:front}};
            location / {{
                proxy_pass http://127.0.0.1:{{port:back}};
                proxy_read_timeout 1h;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }}
        }}
    }}
    """


def workers(front: Proxy, count: int) -> list[int]:
    eventually(lambda: len(front.children()) == count)
    return front.children()


def processor_time(pid: int) -> float:
    """Seconds in user space and in the kernel, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def private(pid: int) -> int:
    """KiB that this process alone has."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def cost(worker: int, crowd: Crowd, seconds: float) -> float:
    """Processor time of the worker for each message of a crowd."""
    before, sent = processor_time(worker), crowd.report().received
    sleep(seconds)
    return (processor_time(worker) - before) / (crowd.report().received - sent)


def test_ten_thousand_idle_tunnels(proxy) -> None:
    with EchoServers() as echo:
        front = proxy(SITE, ports={"back": echo.port}, fresh=True)
        (worker,) = workers(front, 1)
        with Crowd(front.port(), interval=0.02) as chatting, Crowd(front.port(), interval=3600) as silent:
            chatting.open(100)
            alone = cost(worker, chatting, 5)
            chatting.settle()
            before = private(worker)
            assert silent.open(WANTED).open == WANTED
            each = (private(worker) - before) / WANTED
            silent.settle()
            sleep(1)
            began = processor_time(worker)
            sleep(10)
            spent = processor_time(worker) - began
            chatting.resume()
            among_many = cost(worker, chatting, 5)
            told = chatting.settle()
            assert told.unharmed(100), told
            assert silent.report().open == WANTED
    print(
        f"\n{WANTED} tunnels: {each:.2f} KiB each, {spent * 1000:.2f} ms of CPU in 10 s of silence, "
        f"{among_many / alone:.2f} times the CPU for a message"
    )
    assert each <= 4
    assert spent < 0.02
    assert among_many < 2 * alone
