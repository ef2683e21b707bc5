"""MQTT over TCP and over WebSocket, through one Penstock to one broker: the example of docs/stream.md."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from harness.backends.threads import ThreadedServer

MQTT = Subprotocol("mqtt")
PAGE = Path(__file__).parents[3] / "docs" / "stream.md"
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01"
CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x03\x00\x01\x00"


def connect_as(name: bytes) -> bytes:
    return CONNECT + name


def subscribe(topic: bytes) -> bytes:
    body = b"\x00\x01" + struct.pack(">H", len(topic)) + topic + b"\x00"
    return bytes((0x82, len(body))) + body


def publish(topic: bytes, payload: bytes) -> bytes:
    body = struct.pack(">H", len(topic)) + topic + payload
    return bytes((0x30, len(body))) + body


class Broker:
    """As little of MQTT 3.1.1 as makes a message go from one client to others (packets of less than 128 bytes)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[bytes], object]] = []

    def talk(self, receive: Callable[[], bytes], send: Callable[[bytes], object]) -> None:
        """Serve one client until it ends."""
        data = b""
        while more := receive():
            data += more
            while len(data) >= 2 and len(data) >= 2 + data[1]:
                packet, data = data[: 2 + data[1]], data[2 + data[1] :]
                self._take(packet, send)

    def _take(self, packet: bytes, send: Callable[[bytes], object]) -> None:
        kind = packet[0] >> 4
        if kind == 1:
            send(CONNACK)
        elif kind == 8:
            with self._lock:
                self._subscribers.append(send)
            send(SUBACK)
        elif kind == 3:
            with self._lock:
                for each in self._subscribers:
                    each(packet)


class TcpListener(ThreadedServer):
    """The broker's port for TCP."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        super().__init__()

    def serve(self, connection: socket.socket, number: int) -> None:
        self.broker.talk(lambda: connection.recv(4096), connection.sendall)


@pytest.fixture
def broker() -> Iterator[dict[str, int]]:
    """The ports of a broker, for TCP and for WebSockets."""
    made = Broker()

    def talk(connection: ServerConnection) -> None:
        made.talk(lambda: next(iter(connection), b""), connection.send)  # type: ignore[arg-type,return-value]

    with TcpListener(made) as tcp:
        server: Server
        with serve(talk, "127.0.0.1", 0, subprotocols=[MQTT]) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield {"tcp": tcp.port, "ws": server.socket.getsockname()[1]}
            server.shutdown()
            thread.join(5)


def test_a_message_from_a_page_to_a_device(proxy: Any, broker: dict[str, int]) -> None:
    text = PAGE.read_text("utf-8").partition("## MQTT")[2]
    shown = re.search(r"(?s)```nginx\n(.*?)```", text)
    assert shown is not None
    site = shown[1]
    for theirs, ours in (
        ("listen 1883;", "listen 127.0.0.1:{port:mqtt};"),
        ("listen 8080;", "listen 127.0.0.1:{port:web};"),
        ("127.0.0.1:11883", "127.0.0.1:{port:tcp}"),
        ("127.0.0.1:19001", "127.0.0.1:{port:ws}"),
        ("/var/log/penstock/", ""),
    ):
        assert theirs in site
        site = site.replace(theirs, ours)
    front = proxy(site, ports=broker)
    with front.client("mqtt") as device:
        device.send(connect_as(b"d"))
        assert device.recv_exactly(len(CONNACK)) == CONNACK
        device.send(subscribe(b"lamp"))
        assert device.recv_exactly(len(SUBACK)) == SUBACK
        with connect(front.url("/mqtt", "ws", "web"), subprotocols=[MQTT]) as page:
            assert page.subprotocol == MQTT
            page.send(connect_as(b"p"))
            assert page.recv(10) == CONNACK
            page.send(publish(b"lamp", b"on"))
            message = publish(b"lamp", b"on")
            assert device.recv_exactly(len(message)) == message
    front.logged(r"(?m)^127\.0\.0\.1 200 ", name="mqtt.log")
