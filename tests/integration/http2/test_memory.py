"""What an idle connection of HTTP/2 costs, and an idle WebSocket inside of it: they are there by the thousand."""

import contextlib
import socket
import struct
import time

import pytest

from harness.backends import WebSocketEcho
from harness.processes import resident
from harness.proxy import in_http

pytestmark = pytest.mark.alone

CONFIGURATION = in_http(
    """
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        location / { return 200 ok; }
        location /ws { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
    }
    """
)
MOST_OF_A_CONNECTION = 60 << 10
MOST_OF_A_STREAM = 8 << 10
MANY = 300


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


GET = b"\x82\x86\x84\x41\x09localhost"
CONNECT = (
    literal(b":method", b"CONNECT")
    + literal(b":protocol", b"websocket")
    + b"\x86\x44\x03/ws\x41\x09localhost"
    + literal(b"sec-websocket-version", b"13")
)


def connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), 10)
    made.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 5, 1, GET))
    seen = b""
    while b"ok" not in seen:
        seen += made.recv(65536)
    made.sendall(frame(4, 1, 0))
    return made


def test_idle_connections_and_streams(proxy, ws_backend: WebSocketEcho) -> None:
    text = CONFIGURATION.replace("events {", "events { worker_connections 4096;", 1)
    front = proxy(text, ports={"back": ws_backend.port}, fresh=True)  # with the memory of who shares none with a test

    def held() -> int:
        time.sleep(0.3)
        return resident(*front.children())

    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(connected(front.port())) for _ in range(30)]
        before = held()
        conns += [stack.enter_context(connected(front.port())) for _ in range(MANY)]
        assert (held() - before) / MANY < MOST_OF_A_CONNECTION
        opened(conns[:1], 100)
        before = held()
        opened(conns[1:4], 100)
        assert (held() - before) / 300 < MOST_OF_A_STREAM


def opened(connections: list[socket.socket], count: int) -> None:
    """Open so many WebSockets on each connection."""
    for connection in connections:
        for number in range(count):
            connection.sendall(frame(1, 4, 3 + 2 * number, CONNECT))
        answered = 0
        while answered < count:
            answered += connection.recv(1 << 16).count(b"\x01\x04\x00\x00")
