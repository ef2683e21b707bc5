"""Which 101 is passed on at once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.backends import RawBackend, read_head
from harness.in_process import InProcess, ask

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX-A: b\r\n\r\n"
USUAL = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


def handshake(upgrade: str) -> bytes:
    """A request that asks for another protocol."""
    return f"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: {upgrade}\r\nConnection: Upgrade\r\n\r\n".encode()


@pytest.mark.parametrize("more", ["", "add_header X-Own c always;"])
def test_a_tunnel_opens_and_ends(tmp_path: Path, more: str) -> None:
    with RawBackend([read_head, SWITCHING + b"hello"]) as backend:
        inside = f"proxy_pass http://127.0.0.1:{backend.port}; {USUAL} {more}"
        worker = InProcess(f"server {{ location / {{ {inside} }} }}", tmp_path)

        def client(sock: socket.socket) -> bytes:
            data = ask(sock, handshake("websocket"))
            sock.shutdown(socket.SHUT_WR)
            return data

        data = worker.talk(client, straight=True)
    head, _, rest = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\nServer: ")
    assert b"\r\nConnection: upgrade\r\n" in head and b"\r\nX-A: b" in head and rest == b"hello"
    assert (b"X-Own: c" in head) == bool(more)


def test_a_switch_that_nobody_asked_for_is_a_failure(tmp_path: Path) -> None:
    with RawBackend([read_head, SWITCHING]) as backend:
        inside = f"proxy_pass http://127.0.0.1:{backend.port}; {USUAL}"
        worker = InProcess(f"server {{ location / {{ {inside} }} }}", tmp_path)
        data = worker.talk(
            lambda sock: ask(sock, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), straight=True
        )
    assert b" 502 " in data
    assert any("the client did not ask for an upgrade" in line for line in worker.said())
