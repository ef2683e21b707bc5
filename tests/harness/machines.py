"""Several Penstocks that share one Redis, and clients that open tunnels through them."""

import socket
import threading
from collections.abc import Callable
from typing import Any

from harness.redis_server import RedisServer
from harness.waiting import eventually

BASE = "{penstock:penstock}"
HANDSHAKE = (
    "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{more}"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def handshake(front: Any, target: str, more: str = "") -> tuple[Any, int]:
    """A client that has asked for a WebSocket, and the status it was answered with."""
    client = front.client()
    client.send(HANDSHAKE.format(target=target, more=more))
    return client, int(client.recv_until(b"\r\n\r\n").split()[1])


def open_tunnel(front: Any, target: str, more: str = "") -> Any:
    """A tunnel, or None where it was refused."""
    client, status = handshake(front, target, more)
    if status == 101:
        return client
    client.close()
    return None


def joined(redis: RedisServer, workers: int) -> None:
    """Wait until that many workers hold a lease, and all have told what they hold."""
    client = redis.client()

    def together() -> bool:
        seconds, micro = client.time()
        now = seconds * 1000 + micro // 1000
        if client.zcount(f"{BASE}:l", now, "+inf") != workers:
            return False
        sure = client.hget(BASE, "sure")
        return sure is not None and float(sure) <= now

    eventually(together, 20.0, why=f"{workers} workers hold a lease")
    client.close()


def counted(redis: RedisServer) -> int:
    """Places that Redis thinks are taken, of all keys."""
    client = redis.client()
    try:
        return sum(int(value) for value in client.hvals(f"{BASE}:t"))
    finally:
        client.close()


class Cable:
    """A way to a port that can be cut: what is on it then goes nowhere, and nobody is told."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.cut = threading.Event()
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._sock.accept()
            except OSError:
                return
            self._ends.append(near)
            if self.cut.is_set():
                continue  # it stays open, and says nothing
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            self._ends.append(far)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if not self.cut.is_set():
                    other.sendall(data)
        except OSError:
            pass
        if not self.cut.is_set():
            for each in (one, other):
                _silently(each.close)

    def close(self) -> None:
        """End it, and all that goes over it."""
        for each in (self._sock, *self._ends):
            _silently(each.close)

    def __enter__(self) -> "Cable":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _silently(action: Callable[[], object]) -> None:
    try:
        action()
    except OSError:
        pass
