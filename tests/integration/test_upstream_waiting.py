"""Requests and handshakes that wait for a server that may take them, and servers that are chosen by their times."""

from __future__ import annotations

import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from websockets.sync.client import connect

from conftest import Launcher
from harness.backends import RawBackend, WebSocketEcho, read_head
from harness.backends.scripted import Conversation
from harness.proxy import in_http
from harness.waiting import eventually

FRONT = """
    log_format up '$uri $status $upstream_addr';
    access_log access.log up;
    upstream app {{ zone app 64k; {inside} }}
    server {{
        listen 127.0.0.1:{{port:front}};
        location / {{ proxy_pass http://app; websocket auto; }}
    }}
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Busy:
    """Answers after a while, and knows how many it had at once."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, talk: Conversation) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.takes)
        with self.lock:
            self.now -= 1
        talk.socket.sendall(OK)


@pytest.mark.parametrize("workers", [1, 2])
def test_who_waits_is_served(proxy: Launcher, workers: int) -> None:
    busy = Busy(0.05)
    with RawBackend([read_head, busy]) as backend:
        inside = "server 127.0.0.1:{port:app} max_conns=1; queue 20 timeout=15s;"
        text = f"worker_processes {workers};\n{in_http(FRONT.format(inside=inside))}"
        front = proxy(text, ports={"app": backend.port})
        with ThreadPoolExecutor(12) as many:
            statuses = list(many.map(lambda _: front.get("/").status, range(12)))
    assert statuses == [200] * 12
    assert busy.most == 1


def test_who_finds_no_room_or_waits_too_long_is_told(proxy: Launcher) -> None:
    free = threading.Event()
    with RawBackend([read_head, lambda talk: free.wait(20) and None, OK]) as backend:
        inside = "server 127.0.0.1:{port:app} max_conns=1; queue 1 timeout=1s;"
        front = proxy(in_http(FRONT.format(inside=inside)), ports={"app": backend.port})
        with ThreadPoolExecutor(6) as many:
            first = many.submit(lambda: front.get("/first").status)
            eventually(lambda: len(backend.conversations) == 1)
            others = [many.submit(lambda: front.get("/other").status) for _ in range(5)]
            assert [each.result(20) for each in others] == [502] * 5
            free.set()
            assert first.result(20) == 200
        front.logged("upstream queue timed out while connecting to upstream", name="error.log")
        front.logged("upstream queue is full while connecting to upstream", name="error.log")
        assert front.get("/").status == 200, "who has waited in vain has left nothing behind"


def test_a_handshake_waits_for_the_end_of_a_tunnel(proxy: Launcher) -> None:
    with WebSocketEcho() as backend:
        inside = "server 127.0.0.1:{port:app} max_conns=1; queue 4;"
        front = proxy(in_http(FRONT.format(inside=inside)), ports={"app": backend.port})
        url = f"ws://127.0.0.1:{front.port()}/"
        with connect(url, compression=None) as one:
            one.send("a")
            assert one.recv(timeout=10) == "a"
            with ThreadPoolExecutor(1) as other:
                waiting = other.submit(lambda: connect(url, compression=None, open_timeout=20))
                time.sleep(0.2)
                assert not waiting.done()
                one.close()
                with waiting.result(20) as two:
                    two.send("b")
                    assert two.recv(timeout=10) == "b"


def test_handshakes_go_where_they_are_answered_soonest(proxy: Launcher) -> None:
    def late(connection: object, request: object) -> None:
        time.sleep(1.0)

    with WebSocketEcho("slow", process_request=late) as slow, WebSocketEcho("fast") as fast:
        inside = "least_time header; server 127.0.0.1:{port:slow}; server 127.0.0.1:{port:fast};"
        front = proxy(in_http(FRONT.format(inside=inside)), ports={"slow": slow.port, "fast": fast.port})
        names = []
        with ExitStack() as open_ones:
            for _ in range(7):
                client = open_ones.enter_context(connect(f"ws://127.0.0.1:{front.port()}/", compression=None))
                client.send("name?")
                names.append(client.recv(timeout=10))
    # The slow one is tried once; the other has to carry seven times as much to seem as slow.
    assert names.count("slow") == 1


@pytest.mark.parametrize("said", ["in the file", "to the program"])
def test_one_that_comes_back_cold_is_not_filled_at_once(proxy: Launcher, said: str) -> None:
    """It has failed, and is well again: of the next requests it gets few, and more later (`slow_start`)."""
    ill = threading.Event()
    ill.set()
    seen: list[float] = []

    def answer(talk: Conversation) -> None:
        if ill.is_set():
            talk.socket.close()
            return
        seen.append(time.monotonic())
        talk.socket.sendall(OK)

    with RawBackend([read_head, answer]) as cold, RawBackend([read_head, OK]) as warm:
        slow = " slow_start=1h" if said == "in the file" else ""
        inside = f"server 127.0.0.1:{{port:cold}} fail_timeout=1s{slow}; server 127.0.0.1:{{port:warm}};"
        front = proxy(in_http(FRONT.format(inside=inside)), ports={"cold": cold.port, "warm": warm.port})
        if said == "to the program":
            order = ["set", f"app/127.0.0.1:{cold.port}", "slow_start=3600s"]
            set_it = [*front.binary.command, "upstreams", "--socket", f"{front.directory}/nginx.control", *order]
            done = subprocess.run(set_it, capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, done.stderr
        assert {front.get("/").status for _ in range(4)} == {200}
        ill.clear()
        eventually(lambda: front.get("/").status == 200 and seen, why="it is tried again")
        before = len(seen)
        for _ in range(60):
            assert front.get("/").status == 200
        assert len(seen) - before < 12, "without slow_start it would be thirty"


