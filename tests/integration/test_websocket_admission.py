"""A storm of handshakes after a backend has come back: what it gets of it, and what its clients get."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import threading
import time
from collections import Counter
from http import HTTPStatus
from typing import Self

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from conftest import Launcher
from harness.backends import WebSocketEcho
from harness.http2 import Http2Client
from harness.proxy import in_http

STORM = int(os.environ.get("PENSTOCK_STORM", "300"))
"""Clients that come at once; 5,000 in `make soak`."""
TAKES = 150 if STORM < 1000 else 200
"""Handshakes a second that a backend can take."""
GIVES_UP = 1.0
"""Seconds after which it has no use for a handshake any more."""

FRONT = """
    log_format plain '$status $upstream_addr';
    access_log access.log plain;
    upstream app {{ {zone} least_conn; {admission} server 127.0.0.1:{{port:app}} max_fails=0; }}
    server {{
        listen 127.0.0.1:{{port:front}} backlog=8192;
        location / {{ proxy_pass http://app; websocket auto; {inside} }}
    }}
"""


def configured(*, admission: str = "", zone: str = "", inside: str = "", workers: int = 1) -> str:
    made = in_http(FRONT.format(admission=admission, zone=zone, inside=inside))
    made = made.replace("events { }", "events { worker_connections 16000; }", 1)
    return f"worker_processes {workers};\nworker_rlimit_nofile 20000;\n{made}"


class Tired:
    """A server that does one handshake after the other, and drops those that have waited too long: the storm's victim.

    It begins once so many are there. `taken` are the seconds that each was under way which succeeded, `most` how many
    were under way at once.
    """

    def __init__(self, together: int = 1) -> None:
        self.together = together
        self.taken: list[float] = []
        self.begun: list[float] = []
        self.now = self.most = self.dropped = 0
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.over: asyncio.Future[None]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def run(self) -> None:
        self.loop.run_until_complete(self.serve())
        self.loop.close()

    async def serve(self) -> None:
        self.over = self.loop.create_future()
        self.awake: asyncio.Future[float] = self.loop.create_future()
        self.next = 0.0
        async with serve(
            self.talk, "127.0.0.1", 0, process_request=self.work, compression=None, ping_interval=None,
            open_timeout=None, backlog=8192, close_timeout=0.1,
        ) as server:  # fmt: skip
            self.port = next(iter(server.sockets)).getsockname()[1]
            self.ready.set()
            await self.over

    async def work(self, connection: ServerConnection, request: Request) -> Response | None:
        began = time.monotonic()
        self.begun.append(began)
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now >= self.together and not self.awake.done():
            self.awake.set_result(began)
        began = max(began, await self.awake)
        # A worker that is busy with one handshake at a time, each of the same length.
        self.next = max(self.next, began) + 1 / TAKES
        late = self.next - began
        try:
            await asyncio.sleep(min(late, GIVES_UP))
            if late > GIVES_UP:
                self.dropped += 1
                return connection.respond(HTTPStatus.GATEWAY_TIMEOUT, "too late\n")
            self.taken.append(late)
            return None
        finally:
            self.now -= 1

    async def talk(self, connection: ServerConnection) -> None:
        await connection.wait_closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(lambda: self.over.done() or self.over.set_result(None))
        self.thread.join(20)


def handshake(source: str = "") -> bytes:
    return (
        b"GET / HTTP/1.1\r\nHost: app\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )


class Storm:
    """So many clients at once, on plain sockets: the status that each gets, and what came behind the head."""

    def __init__(self, port: int, count: int, timeout: float = 60.0) -> None:
        self.statuses: Counter[int] = Counter()
        self.heads: list[bytes] = []
        self.open: list[socket.socket] = []
        waiting = selectors.DefaultSelector()
        for number in range(count):
            sock = socket.socket()
            sock.bind((f"127.0.0.{1 + number % 100}", 0))
            sock.connect(("127.0.0.1", port))
            sock.sendall(handshake())
            sock.setblocking(False)
            waiting.register(sock, selectors.EVENT_READ)
            self.open.append(sock)
        deadline = time.monotonic() + timeout
        left = count
        while left and time.monotonic() < deadline:
            for key, _ in waiting.select(0.5):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                waiting.unregister(sock)
                left -= 1
                try:
                    data = sock.recv(65536)
                except OSError:
                    data = b""
                self.heads.append(data)
                self.statuses[int(data[9:12] or 0)] += 1
        waiting.close()
        assert not left, f"{left} have had no answer"

    def close(self) -> None:
        for sock in self.open:
            sock.close()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_storm_that_is_let_in_bit_by_bit(proxy: Launcher, workers: int) -> None:
    """All are in, the server is never asked for more than it can do, and none waits there for long."""
    rate = TAKES * 8 // 10
    admission = f"websocket_admission rate={rate}r/s in_progress=30 queue=300s;"
    with Tired() as tired:
        front = proxy(configured(admission=admission, zone="zone app 64k;", workers=workers), ports={"app": tired.port})
        storm = Storm(front.port(), STORM, timeout=120.0 + 2 * STORM / rate)
        storm.close()
    assert storm.statuses == {101: STORM}
    assert tired.dropped == 0
    assert tired.most <= 30, "the bound holds over all workers"
    assert sorted(tired.taken)[int(len(tired.taken) * 0.99) - 1] < 1.0
    spans = [later - earlier for earlier, later in zip(tired.begun, tired.begun[rate:], strict=False)]
    # On a busy machine those that are under way may come at once; but no more than those.
    assert min(spans) > 0.5, "a second's worth of handshakes takes about a second, wherever one looks"


def test_without_it_the_same_storm_ends_in_failures(proxy: Launcher) -> None:
    """However long it takes to pass them on: the backend has all of them before it answers the first."""
    with Tired(together=STORM) as tired:
        front = proxy(configured(), ports={"app": tired.port})
        storm = Storm(front.port(), STORM)
        storm.close()
    assert tired.dropped == pytest.approx(STORM - TAKES * GIVES_UP, abs=1)
    assert storm.statuses == {504: tired.dropped, 101: STORM - tired.dropped}
    assert tired.most == STORM


@pytest.mark.parametrize("where", ["upstream", "location"])
def test_who_waits_too_long_is_told_when_to_come_back(proxy: Launcher, where: str) -> None:
    line = "websocket_admission rate=5r/s queue=1s retry_after=7s..9s;"
    bounds = {"admission": line} if where == "upstream" else {"inside": line}
    with WebSocketEcho() as echo:
        front = proxy(configured(**bounds), ports={"app": echo.port})
        assert front.get("/").status in (400, 426), "what is no handshake does not wait"
        storm = Storm(front.port(), 40)
        storm.close()
        refused = [head for head in storm.heads if head.startswith(b"HTTP/1.1 503")]
        assert storm.statuses[101] + storm.statuses[503] == 40
        assert 3 <= storm.statuses[101] <= 20
        after = {head.partition(b"Retry-After: ")[2].partition(b"\r\n")[0] for head in refused}
        assert after <= {b"7", b"8", b"9"}
        assert len(after) > 1, "not all at the same time"
        front.logged('turned away by "websocket_admission"', name="error.log")
    assert len(echo.handshakes) == storm.statuses[101]


def test_pages_are_told_by_a_close_code(proxy: Launcher) -> None:
    line = "websocket_admission in_progress=1 queue=0 reject=1013;"
    held = threading.Event()

    def hold(connection: object, request: object) -> None:
        held.wait(20)

    with WebSocketEcho(process_request=hold) as echo:
        text = configured(inside=line).replace("backlog=8192;", "backlog=8192; http2 on; http2_extended_connect on;")
        front = proxy(text, ports={"app": echo.port})
        first = socket.create_connection(("127.0.0.1", front.port()), timeout=20)
        first.sendall(handshake())
        refused = b""
        deadline = time.monotonic() + 15
        while not refused and time.monotonic() < deadline:
            # Until the first one is under way, another may be let in.
            with socket.create_connection(("127.0.0.1", front.port()), timeout=1) as sock:
                sock.sendall(handshake().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: chat, soap\r\n\r\n"))
                try:
                    while data := sock.recv(65536):
                        refused += data
                except TimeoutError:
                    continue
        head, _, frame = refused.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert b"Sec-WebSocket-Protocol: chat" in head
        assert frame[:4] == b"\x88\x11\x03\xf5"
        with Http2Client(front.port()) as client:
            stream = client.websocket("/")
            assert client.head(stream).status == 200
            opcode, payload = client.hear(stream)
            assert (opcode, payload[:2]) == (8, b"\x03\xf5")
        held.set()
        assert first.recv(100).startswith(b"HTTP/1.1 101")
        first.close()


