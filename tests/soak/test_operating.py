"""What it costs to look after things: checks of a hundred servers, a dashboard over ten thousand tunnels."""

import os
import resource
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import pytest

from harness.browser import Browser, Page, missing
from harness.crowd import Crowd, EchoServers
from harness.proxy import Proxy
from harness.waiting import eventually

PEERS = 100
INTERVAL = 5
WINDOW, LOOKS = 10, 3
"""Seconds, and how often: one of the looks has to be good, as the machine may be busy with other things."""
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
TUNNELS = 10000 if HARD == resource.RLIM_INFINITY else min(10000, HARD - 600)
CHATTING = 100
SECONDS = 20

OBSERVE = """
    window.seen = [];
    new PerformanceObserver(list => { for (const each of list.getEntries()) window.seen.push(each.duration); })
        .observe({type: 'longtask'});
    performance.clearResourceTimings();
    """
ASKED = """
    return performance.getEntriesByType('resource').filter(each => each.name.includes('view=tunnels'))
        .map(each => [each.duration, each.encodedBodySize])
    """

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes a minute: make soak"),
]

CHECKED = """
    worker_processes 1;
    http {{
        upstream app {{ zone app 256k; {servers} }}
        server {{
            listen 127.0.0.1:{{port:front}};
            location / {{ websocket auto; proxy_pass http://app; {check} }}
        }}
        match switched {{ status 101; }}
    }}
    """
WATCHED = f"""
    worker_processes 2;
    worker_rlimit_nofile {HARD};
    events {{ worker_connections {HARD}; }}
    http {{
        access_log off;
        upstream app {{ zone app 64k; server 127.0.0.1:{{port:back}}; }}
        server {{
            listen 127.0.0.1:{{port:front}} backlog=4096;
            location / {{ websocket auto; proxy_pass http://app; proxy_read_timeout 1h; }}
            location = /dashboard {{ dashboard write=on; allow 127.0.0.1; deny all; }}
        }}
    }}
    """


def processor_time(pid: int) -> float:
    """Seconds in user space and in the kernel, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def spent(front: Proxy, seconds: float) -> float:
    """Processor time of the only worker within so many seconds."""
    eventually(lambda: len(front.children()) == 1)
    (worker,) = front.children()
    before = processor_time(worker)
    sleep(seconds)
    return processor_time(worker) - before


@pytest.mark.parametrize("check", ["type=websocket ping", "type=websocket", "match=switched", "type=tcp"])
def test_checks_of_a_hundred_servers(proxy, check: str) -> None:
    with EchoServers(PEERS) as echo:
        servers = " ".join(f"server 127.0.0.1:{port};" for port in echo.ports)
        line = f"health_check {check} interval={INTERVAL}s;"
        front = proxy(CHECKED.format(servers=servers, check=line), fresh=True)
        eventually(lambda: sum(echo.report().opened) >= PEERS or "tcp" in check, 20)
        began = sum(echo.report().opened)
        took = [spent(front, WINDOW) for _ in range(LOOKS)]
        asked = sum(echo.report().opened) - began
        assert "unhealthy" not in front.error_log()
    rounds = PEERS * WINDOW / INTERVAL
    print(
        f"\n{check}: {[f'{each / WINDOW:.2%}' for each in took]} of a core, {min(took) / rounds * 1e6:.0f} us a check"
    )
    if "tcp" not in check:
        assert asked == pytest.approx(LOOKS * rounds, rel=0.1)
    assert min(took) / WINDOW < 0.01


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_a_dashboard_over_ten_thousand_tunnels(proxy) -> None:
    """Neither the page nor a tunnel stops for a moment: tasks of the browser, its requests, and echoes meanwhile."""
    with EchoServers() as echo:
        front = proxy(WATCHED, ports={"back": echo.port}, fresh=True)
        with ExitStack() as stack:
            silent = stack.enter_context(Crowd(front.port(), interval=3600))
            assert silent.open(TUNNELS - CHATTING).open == TUNNELS - CHATTING
            silent.settle()
            chatting = stack.enter_context(Crowd(front.port(), interval=0.1))
            chatting.open(CHATTING)
            alone = watched(front, chatting)
            page = stack.enter_context(Browser()).open(front.url("/dashboard"))
            page.wait_until(f"document.querySelector('#tile-tunnels dd')?.textContent === '{TUNNELS:,}'", 60)
            page.wait_until("document.querySelectorAll('#rows tr').length === 25", 60)
            page.script(OBSERVE)
            beside = watched(front, chatting, lambda: turned(page))
            told = chatting.settle()
            assert told.unharmed(CHATTING), told
            seen = page.script("return window.seen")
            asked = page.script(ASKED)
            event = first_event(front)
        eventually(lambda: sum(echo.report().live) == 0, 60)
    longest = max((each for each in seen), default=0.0)
    times = [each[0] for each in asked]
    print(
        f"\n{TUNNELS} tunnels, {SECONDS} s of a dashboard: {len(seen)} tasks of more than 50 ms, the longest "
        f"{longest:.0f} ms; {len(asked)} pages of tunnels in {median(times):.0f} ms (median) to {max(times):.0f} ms, "
        f"{max(each[1] for each in asked) / 1024:.1f} KiB at most; an event has {event / 1024:.1f} KiB\n"
        f"workers: {alone.processor:.1%} of a core without it, {beside.processor:.1%} with it; the slowest echo "
        f"{alone.latest * 1000:.0f} and {beside.latest * 1000:.0f} ms"
    )
    assert len(asked) >= 5
    assert longest < 200
    assert max(each[1] for each in asked) < 64 << 10
    assert median(times) < 1000


@dataclass(frozen=True)
class Figures:
    """Of all workers, and of the clients that chat."""

    processor: float
    latest: float


def watched(front: Proxy, crowd: Crowd, act: Callable[[], None] | None = None) -> Figures:
    """What the workers use, and how slow the slowest echo is, within `SECONDS`."""
    crowd.forget()
    before = sum(map(processor_time, front.children()))
    began = monotonic()
    if act is not None:
        act()
    sleep(max(0.0, began + SECONDS - monotonic()))
    took = monotonic() - began
    after = sum(map(processor_time, front.children()))
    return Figures((after - before) / took, crowd.report().latest)


def turned(page: Page) -> None:
    """Do what somebody does who looks: other orders, other pages, a word to find."""
    for sort in ("Messages", "Bytes", "Idle", "Age"):
        page.script(f"[...document.querySelectorAll('#heads button')].find(e => e.textContent === '{sort}').click()")
        page.wait_until("document.querySelectorAll('#rows tr').length === 25")
        page.script("document.querySelector('#next').click()")
        page.wait_until("document.querySelector('#count').textContent.startsWith('26')")
    page.script(
        "const each = document.querySelector('#per-page'); each.value = '100';"
        "each.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    page.wait_until("document.querySelectorAll('#rows tr').length === 100")


def first_event(front: Proxy) -> int:
    """Bytes of one event."""
    with front.client() as client:
        client.send(f"GET /dashboard?view=events HTTP/1.1\r\nHost: 127.0.0.1:{front.port()}\r\n\r\n")
        return len(client.recv_until(b"\n\n"))
