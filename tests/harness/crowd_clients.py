"""The clients of a crowd, as a program: `crowd_clients.py {"port": 8080, "interval": 0.1}`; see `crowd.py`."""

import heapq
import json
import os
import select
import socket
import ssl
import struct
import sys
from collections import Counter, deque
from pathlib import Path
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.crowd_frames import ABNORMAL, CLOSE, HANDSHAKE_KEY, PING, PONG, Frames, close_code, masked

AT_ONCE = 100
"""Connections that are being made at a time."""

_STAMP = struct.Struct("!Qd")
IN, OUT = select.EPOLLIN, select.EPOLLOUT


class Client:
    """One tunnel. `sent` and `received` are the numbers of the next message of each way."""

    __slots__ = ("closing", "fd", "frames", "head", "open", "received", "sent", "sock", "started", "target")

    def __init__(self, sock: socket.socket, target: str) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.target = target
        self.started = False
        self.head = b""
        self.open = False
        self.closing = False
        self.frames = Frames()
        self.sent = 0
        self.received = 0


class Clients:
    """All of them, in one loop."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.address = (given["host"], given["port"])
        self.interval = given["interval"]
        self.padding = b"." * max(0, given["size"] - _STAMP.size)
        self.answer_close = given["answer_close"]
        self.tls: ssl.SSLContext | None = None
        if given["tls"]:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.tls.check_hostname = False
            self.tls.verify_mode = ssl.CERT_NONE
        self.epoll = select.epoll()
        self.clients: dict[int, Client] = {}
        self.wanted: deque[str] = deque()
        self.making = 0
        self.due: list[tuple[float, int, Client]] = []
        self.serial = 0
        self.sending = True
        self.awaited: list[str] = []
        self.opened = self.sent = self.received = self.wrong = self.lost = self.dropped = self.cut = self.late = 0
        self.refused: Counter[str] = Counter()
        self.closes: Counter[int] = Counter()
        self.close_times: list[float] = []
        self.latest = self.stall = 0.0
        self.worst: list[tuple[float, float]] = []
        self.latencies: Counter[int] = Counter()

    def run(self) -> None:
        os.set_blocking(0, False)
        self.epoll.register(0, IN)
        before = monotonic()
        while True:
            now = monotonic()
            self.stall = max(self.stall, now - before)
            self.make()
            timeout = 0.5
            if self.sending and self.due:
                timeout = min(timeout, max(0.0, self.due[0][0] - now))
            events = self.epoll.poll(timeout)
            before = monotonic()
            for fd, mask in events:
                client = self.clients.get(fd)
                if client is not None:
                    self.serve(client, mask)
                elif fd == 0 and not self.command():
                    return
            if self.sending:
                self.send_due()
            self.answer()

    # What the test asks for

    def command(self) -> bool:
        data = os.read(0, 65536)
        if not data:
            return False
        for line in data.splitlines():
            asked = json.loads(line)
            what = asked["do"]
            if what == "open":
                targets = asked["targets"]
                self.wanted.extend(targets[number % len(targets)] for number in range(asked["count"]))
            elif what == "pause":
                self.sending = False
            elif what == "resume":
                self.sending = True
                now = monotonic()
                self.due = [(now + self.interval * at / len(self.due), n, c) for at, (_, n, c) in enumerate(self.due)]
            elif what == "close":
                for client in [each for each in self.clients.values() if each.open][: asked["count"]]:
                    client.closing = True
                    client.sock.send(masked((1000).to_bytes(2, "big"), CLOSE))
            elif what == "forget":
                self.latest = self.stall = 0.0
                self.late = 0
                self.worst.clear()
                self.latencies.clear()
            self.awaited.append(asked.get("until", ""))
        return True

    def answer(self) -> None:
        """Commands are answered in their order, each when it has been done."""
        while self.awaited:
            until = self.awaited[0]
            if until == "opened" and (self.wanted or self.making):
                return
            if until == "settled" and any(each.sent != each.received for each in self.clients.values()):
                return
            if until == "closed" and any(each.closing for each in self.clients.values()):
                return
            self.awaited.pop(0)
            self.report()

    def report(self) -> None:
        waiting = sum(each.sent - each.received for each in self.clients.values())
        what = {
            "open": sum(each.open for each in self.clients.values()),
            "opened": self.opened,
            "refused": self.refused,
            "sent": self.sent,
            "received": self.received,
            "outstanding": waiting,
            "wrong": self.wrong,
            "lost": self.lost,
            "dropped": self.dropped,
            "cut": self.cut,
            "closes": self.closes,
            "close_times": self.close_times,
            "latest": self.latest,
            "late": self.late,
            "stall": self.stall,
            "worst": sorted(self.worst, reverse=True),
            "latencies": self.latencies,
        }
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    # A client's life

    def make(self) -> None:
        while self.wanted and self.making < AT_ONCE:
            sock: socket.socket = socket.socket()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect_ex(self.address)
            self.making += 1
            client = Client(sock, self.wanted.popleft())
            self.clients[client.fd] = client
            self.epoll.register(client.fd, OUT)

    def begin(self, client: Client) -> None:
        """Connected: TLS, where wanted, and the handshake."""
        if self.tls is not None:
            if not isinstance(client.sock, ssl.SSLSocket):
                client.sock = self.tls.wrap_socket(client.sock, do_handshake_on_connect=False)
            try:
                client.sock.do_handshake()
            except ssl.SSLWantReadError:
                self.epoll.modify(client.fd, IN)
                return
            except ssl.SSLWantWriteError:
                self.epoll.modify(client.fd, OUT)
                return
        client.started = True
        client.sock.send(
            f"GET {client.target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {HANDSHAKE_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.epoll.modify(client.fd, IN)

    def serve(self, client: Client, mask: int) -> None:
        try:
            if not client.started:
                self.begin(client)
                return
            data = client.sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        if not data:
            self.gone(client)
            return
        self.take(client, data)
        while self.tls is not None and client.fd in self.clients and client.sock.pending():  # type: ignore[attr-defined]
            self.take(client, client.sock.recv(65536))

    def take(self, client: Client, data: bytes) -> None:
        if not client.open:
            client.head += data
            head, end, data = client.head.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.refused[head[:30].split(b"\r")[0].decode("latin-1")] += 1
                self.gone(client)
                return
            client.open = True
            self.making -= 1
            self.opened += 1
            self.serial += 1
            # Spread over the interval, so that messages do not come in bursts.
            offset = self.serial * 0.618034 % 1
            heapq.heappush(self.due, (monotonic() + self.interval * offset, self.serial, client))
        now = monotonic()
        for opcode, payload in client.frames.feed(data):
            if opcode == CLOSE:
                self.closes[close_code(payload)] += 1
                self.close_times.append(now)
                if not client.closing and self.answer_close:
                    self.send(client, masked(payload[:2], CLOSE))
                client.closing = True
            elif opcode == PING:
                self.send(client, masked(payload, PONG))
            elif opcode != PONG:
                self.check(client, payload, now)

    def check(self, client: Client, payload: bytes, now: float) -> None:
        number, at = _STAMP.unpack_from(payload)
        if number != client.received or len(payload) != _STAMP.size + len(self.padding):
            self.wrong += 1
        client.received = number + 1
        self.received += 1
        latency = now - at
        self.latencies[int(latency * 100) * 10] += 1
        if latency > 0.1:
            self.late += latency > 0.5
            heapq.heappush(self.worst, (latency, at))
            if len(self.worst) > 20:
                heapq.heappop(self.worst)
        if latency > self.latest:
            self.latest = latency

    def send_due(self) -> None:
        due, now = self.due, monotonic()
        while due and due[0][0] <= now:
            when, serial, client = due[0]
            if client.closing or not client.open or client.fd not in self.clients:
                heapq.heappop(due)
                continue
            self.send(client, masked(_STAMP.pack(client.sent, monotonic()) + self.padding))
            client.sent += 1
            self.sent += 1
            heapq.heapreplace(due, (max(when + self.interval, now), serial, client))

    def send(self, client: Client, data: bytes) -> None:
        try:
            if client.sock.send(data) != len(data):
                raise OSError("a crowd's messages fit into a socket")
        except OSError:
            pass  # the end of what it says will follow

    def gone(self, client: Client) -> None:
        if client.fd not in self.clients:
            return
        if client.open:
            if not client.closing:
                self.dropped += 1
                self.closes[ABNORMAL] += 1
                self.close_times.append(monotonic())
                self.lost += client.sent - client.received
            self.cut += bool(client.frames.rest)
            client.open = False
        else:
            self.making -= 1
            if not client.head:
                self.refused["nothing"] += 1
        del self.clients[client.fd]
        client.sock.close()


if __name__ == "__main__":
    Clients(json.loads(sys.argv[1])).run()
