"""Requests leave nothing for the cyclic collector: what they took is given back at once.

One reference from a request to itself once made every request wait for a collection, which took a third of the time.
"""

from __future__ import annotations

import gc
import socket
import threading
from pathlib import Path

import pytest

from harness.ports import free_port
from penstock.modules.load import load
from penstock.net.listener import bind
from penstock.net.loop import new_loop
from penstock.server.service import Service

pytestmark = pytest.mark.alone

SITE = """
events {{ }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{port}/answer; }}
        location /answer {{ return 200 text; }}
    }}
}}
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def ask(port: int, count: int) -> None:
    """Requests one after the other over one connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        for _ in range(count):
            client.sendall(REQUEST)
            answer = b""
            while not answer.endswith(b"\r\n\r\ntext"):
                piece = client.recv(4096)
                assert piece, answer
                answer += piece


def test_requests_leave_nothing_for_the_collector(tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "nginx.conf"
    path.write_text(SITE.format(port=port))
    plan = load(str(path), prefix=f"{tmp_path}/")
    loop = new_loop()
    service = Service(plan, loop)
    sockets = {listen: bind(listen.address) for listen in plan.listens}
    left: list[int] = []

    def clients() -> None:
        try:
            ask(port, 20)
            loop.call_soon_threadsafe(settle)
            settled.wait(10)
            ask(port, 200)
        finally:
            loop.call_soon_threadsafe(count)

    settled = threading.Event()

    def settle() -> None:
        gc.collect()
        gc.disable()
        settled.set()

    def count() -> None:
        left.append(gc.collect())
        gc.enable()
        loop.stop()

    loop.call_soon(service.start, sockets)
    thread = threading.Thread(target=clients, daemon=True)
    loop.call_soon(thread.start)
    try:
        loop.run_forever()
    finally:
        gc.enable()
        service.stop_accepting()
        service.abort_all()
        for sock in sockets.values():
            sock.close()
    assert left[0] < 200, "less than an object a request"
