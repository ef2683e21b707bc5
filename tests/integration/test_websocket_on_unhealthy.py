"""Open WebSockets whose server has failed its checks: they stay, are drained, or are closed, as their location says."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from conftest import Launcher
from harness.backends import RawBackend, WebSocketEcho, read_head
from harness.backends.scripted import Conversation
from harness.proxy import in_http

FRONT = """
    websocket_drain 500ms code=1012;
    upstream app {{ server 127.0.0.1:{{port:app}}; }}
    server {{
        listen 127.0.0.1:{{port:front}};
        websocket auto;
        websocket_on_unhealthy drain;
        location / {{ proxy_pass http://app; health_check interval=1s port={{port:health}}; }}
        location /keep {{ proxy_pass http://app; websocket_on_unhealthy keep; }}
        location /close {{ proxy_pass http://app; websocket_on_unhealthy close=4001; }}
    }}
"""


def ended(client: ClientConnection) -> int | None:
    """Wait for the close frame."""
    with pytest.raises(ConnectionClosed):
        client.recv(timeout=15)
    return client.close_code


@pytest.mark.parametrize("workers", [1, 4])
def test_what_becomes_of_open_tunnels(proxy: Launcher, workers: int) -> None:
    ill = threading.Event()

    def answer(talk: Conversation) -> None:
        word = b"503 No" if ill.is_set() else b"200 OK"
        talk.socket.sendall(b"HTTP/1.1 " + word + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with WebSocketEcho() as echo, RawBackend([read_head, answer]) as health, ExitStack() as opened:
        text = f"worker_processes {workers};\n{in_http(FRONT.format())}"
        front = proxy(text, ports={"app": echo.port, "health": health.port})
        url = f"ws://127.0.0.1:{front.port()}"
        paths = ["/drain", "/keep", "/close"] * 3
        clients = [opened.enter_context(connect(f"{url}{path}", compression=None)) for path in paths]
        for client in clients:
            client.send("a")
            assert client.recv(timeout=10) == "a"
        began = time.monotonic()
        ill.set()
        codes = [ended(client) for path, client in zip(paths, clients, strict=True) if path != "/keep"]
        assert codes == [1012, 4001] * 3
        assert time.monotonic() - began < 15
        for path, client in zip(paths, clients, strict=True):
            if path == "/keep":
                client.send("still here")
                assert client.recv(timeout=10) == "still here"
        front.logged("which is unhealthy", name="error.log")
        assert front.get("/").status == 502, "and nothing new is opened"
