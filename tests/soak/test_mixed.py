"""Minutes of everything at once: uploads, aborts, files, WebSockets with every feature, HTTP/2, reloads; memory and
descriptors are the same at the end, and nothing goes wrong inside (`make soak`).

PENSTOCK_SOAK_SECONDS says how long it takes, ten minutes unless it is set.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from h2.exceptions import H2Error
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from harness.kinds import KINDS, SITE, UPLOAD, Kind, backends_and_files
from harness.processes import children, resident
from harness.proxy import Proxy
from harness.waiting import eventually
from harness.wires import WIRES, Wire, fields, request_head

SECONDS = float(os.environ.get("PENSTOCK_SOAK_SECONDS", "600"))
SETTLED = 0.3
"""The share of the time after which memory has found its size."""
GROWTH = 6 << 20
"""Bytes that memory may differ by: what one moment has more under way than another."""
RELOAD_EVERY = 15.0
SAMPLE_EVERY = 5.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(SECONDS + 600),
    pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes minutes: make soak"),
]

Act = Callable[[Wire, random.Random], None]
QUICK = [kind for kind in KINDS if kind.path not in ("/late", "/silent")]


def ask(wire: Wire, rng: random.Random) -> None:
    """Whatever there is."""
    wire.ask(rng.choice(QUICK), rng.randrange(1, 4))


def upload(wire: Wire, rng: random.Random) -> None:
    """Bodies that go through files."""
    path = rng.choice(("/upload", "/in-file", "/upload-mirrored", "/upload-authorized", "/upload-unbuffered"))
    wire.ask(Kind(path, method="POST", body=UPLOAD * rng.randrange(1, 5), chunked=rng.random() < 0.3))


def abort(wire: Wire, rng: random.Random) -> None:
    """Go in the middle of something."""
    kind = rng.choice(QUICK)
    if wire.http2:
        client: Any = wire.client2(greedy=False)
        with suppress(Exception):
            stream = client.open(kind.path, *fields(kind), method=kind.method, ended=not kind.body)
            if kind.body:
                client.send(stream, kind.body[: rng.randrange(60_000)])
            if rng.random() < 0.5:
                client.reset(stream)
    else:
        client = wire.client1()
        client.send(request_head(kind) + kind.body[: rng.randrange(len(kind.body) + 1)])
    time.sleep(rng.random() * 0.05)
    if not wire.http2 and "tls" not in wire.name and rng.random() < 0.5:
        client.reset()
    else:
        client.close()


def talk(wire: Wire, rng: random.Random) -> None:
    """A WebSocket, with and without rules, over HTTP/1.1 and HTTP/2; half of them end without a word."""
    path = rng.choice(("/ws", "/ws-plain", "/ws-watched"))
    if wire.http2:
        with wire.client2() as client:
            stream = client.websocket(path)
            for size in (1, 200, 70_000):
                client.say(stream, b"x" * size)
                assert client.hear(stream)[1] == b"x" * size
        return
    scheme = "wss" if "tls" in wire.name else "ws"
    port = wire.front.port("tls" if "tls" in wire.name else "http")
    context = wire.trusting if scheme == "wss" else None
    url = f"{scheme}://localhost:{port}{path}"
    with suppress(WebSocketException), connect(url, ssl=context, open_timeout=20, close_timeout=2) as talk:
        for size in (1, 200, 70_000):
            talk.send(b"x" * size)
            assert talk.recv(20) == b"x" * size
        if rng.random() < 0.5:
            talk.socket.shutdown(socket.SHUT_RDWR)


def keep(wire: Wire, rng: random.Random) -> None:
    """A connection that stays for a while, and asks now and then."""
    if wire.http2:
        with wire.client2() as client:
            for _ in range(rng.randrange(5)):
                if client.goaway is None and not client.eof:
                    client.get("/static/small.html")
                    time.sleep(rng.random() * 0.2)
        return
    with wire.client1() as client:
        for _ in range(rng.randrange(5)):
            client.send("GET /static/small.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if client.response().status != 200:
                return
            time.sleep(rng.random() * 0.2)


ACTS: list[Act] = [ask, ask, ask, upload, abort, abort, talk, keep]


class Visitors:
    """Threads that do one thing after the other until they are told to stop; `done` counts what, `odd` what failed."""

    def __init__(self, wires: list[Wire], count: int) -> None:
        self.done: Counter[str] = Counter()
        self.odd: Counter[str] = Counter()
        self._stop = threading.Event()
        self._wires = wires
        self._threads = [threading.Thread(target=self._visit, args=(number,), daemon=True) for number in range(count)]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _visit(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self._stop.is_set():
            act = rng.choice(ACTS)
            try:
                act(rng.choice(self._wires), rng)
                self.done[act.__name__] += 1
            except (OSError, EOFError, AssertionError, H2Error) as error:
                # A worker that is replaced ends its connections: what has not been answered may be lost then.
                self.odd[f"{act.__name__}: {type(error).__name__}"] += 1


def held(pids: set[int]) -> tuple[int, int]:
    """Bytes of memory, and descriptors, of the fullest of them."""
    sizes = [(resident(pid), len(os.listdir(f"/proc/{pid}/fd"))) for pid in pids]  # noqa: PTH208
    return max(each[0] for each in sizes), max(each[1] for each in sizes)


@pytest.fixture
def front(authority: Any) -> Iterator[Proxy]:
    text = f"worker_processes 2;\n{SITE}"
    with backends_and_files(authority) as options, Proxy(text, fresh=True, **options) as proxy:
        yield proxy


def test_everything_at_once(front: Proxy, authority: Any) -> None:
    wires = [Wire(name, front, authority.client_context()) for name in WIRES]
    eventually(lambda: len(children(front.pid)) == 2)
    samples: list[tuple[float, int, int]] = []
    reloads = 0
    began = last = time.monotonic()
    with Visitors(wires, 8) as visitors:
        while (now := time.monotonic()) < began + SECONDS:
            time.sleep(SAMPLE_EVERY)
            with suppress(FileNotFoundError, ValueError):
                samples.append((now - began, *held(children(front.pid))))
            if now - last > RELOAD_EVERY:
                last, reloads = now, reloads + 1
                front.send_signal(signal.SIGHUP)
    eventually(lambda: len(children(front.pid)) == 2, 60)
    print(f"\nafter {SECONDS:g} s: {dict(visitors.done)}, {reloads} reloads, odd: {dict(visitors.odd)}")
    for at, memory, descriptors in samples[:: max(1, len(samples) // 20)]:
        print(f"{at:7.0f} s {memory / 1e6:8.1f} MB {descriptors:6} descriptors")

    def quiet() -> bool:
        return held(children(front.pid))[1] < 60

    eventually(quiet, 60, why=f"descriptors are given back: {held(children(front.pid))}")
    log = front.error_log()
    assert "internal error" not in log
    settled = [sample for sample in samples if sample[0] > SETTLED * SECONDS]
    half = len(settled) // 2
    early = sorted(memory for _, memory, _ in settled[:half])[half // 2]
    late = sorted(memory for _, memory, _ in settled[half:])[half // 2]
    assert late - early < GROWTH, f"from {early / 1e6:.1f} MB to {late / 1e6:.1f} MB"
    assert sum(visitors.odd.values()) <= sum(visitors.done.values()) // 20, visitors.odd
