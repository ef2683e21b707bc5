"""Echo servers for a crowd, as a program: `crowd_echo.py {"count": 2}`; see `crowd.py`."""

import json
import os
import re
import select
import socket
import sys
from base64 import b64encode
from collections import Counter
from hashlib import sha1
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.crowd_frames import (
    CLOSE,
    HANDSHAKE_ACCEPT,
    HANDSHAKE_KEY,
    PING,
    PONG,
    Frames,
    close_code,
    plain,
)

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = re.compile(rb"\r\nsec-websocket-key: *([^\r ]+)", re.IGNORECASE)


def answer(head: bytes) -> bytes:
    """The 101 to a handshake. Clients of a crowd all have the same key; a check has one of its own each time."""
    found = KEY.search(head)
    key = found[1].decode() if found else HANDSHAKE_KEY
    accept = HANDSHAKE_ACCEPT if key == HANDSHAKE_KEY else b64encode(sha1(key.encode() + GUID).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


class Peer:
    """One connection from the proxy."""

    __slots__ = ("closing", "frames", "head", "index", "open", "sock")

    def __init__(self, sock: socket.socket, index: int) -> None:
        self.sock = sock
        self.index = index
        self.head = b""
        self.open = False
        self.closing = False
        self.frames = Frames()


class Server:
    """As many listeners as wanted, in one loop."""

    def __init__(self, count: int, answer_close: bool) -> None:
        self.answer_close = answer_close
        self.epoll = select.epoll()
        self.listeners: dict[int, tuple[socket.socket, int]] = {}
        self.peers: dict[int, Peer] = {}
        self.live = [0] * count
        self.opened = [0] * count
        self.closes: Counter[int] = Counter()
        self.dropped = self.cut = self.unmasked = self.messages = 0
        self.ports = []
        for index in range(count):
            sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
            sock.setblocking(False)
            self.ports.append(sock.getsockname()[1])
            self.listeners[sock.fileno()] = (sock, index)
            self.epoll.register(sock.fileno(), select.EPOLLIN)

    def run(self) -> None:
        os.set_blocking(0, False)
        self.epoll.register(0, select.EPOLLIN)
        say({"ports": self.ports})
        while True:
            for fd, _ in self.epoll.poll():
                if fd in self.peers:
                    self.serve(self.peers[fd])
                elif fd in self.listeners:
                    self.accept(*self.listeners[fd])
                elif not self.command():
                    return

    def command(self) -> bool:
        data = os.read(0, 65536)
        if not data:
            return False
        for _ in data.splitlines():
            say(
                {
                    "live": self.live,
                    "opened": self.opened,
                    "closes": self.closes,
                    "dropped": self.dropped,
                    "cut": self.cut,
                    "unmasked": self.unmasked,
                    "messages": self.messages,
                }
            )
        return True

    def accept(self, listener: socket.socket, index: int) -> None:
        for _ in range(64):
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[sock.fileno()] = Peer(sock, index)
            self.epoll.register(sock.fileno(), select.EPOLLIN)

    def serve(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.gone(peer)
            return
        if not peer.open:
            peer.head += data
            head, end, data = peer.head.partition(b"\r\n\r\n")
            if not end:
                return
            peer.open = True
            peer.head = b""
            self.live[peer.index] += 1
            self.opened[peer.index] += 1
            self.send(peer, answer(head))
        out = []
        for opcode, payload in peer.frames.feed(data):
            if opcode == CLOSE:
                self.closes[close_code(payload)] += 1
                peer.closing = True
                if self.answer_close:
                    out.append(plain(payload[:2], CLOSE))
            elif opcode == PING:
                out.append(plain(payload, PONG))
            elif opcode != PONG:
                self.messages += 1
                out.append(plain(payload, opcode))
        if out:
            self.send(peer, b"".join(out))
        if peer.closing and self.answer_close:
            self.gone(peer)

    def send(self, peer: Peer, data: bytes) -> None:
        try:
            if peer.sock.send(data) != len(data):
                raise OSError("a crowd's messages fit into a socket")
        except OSError:
            pass  # the end of what it says will follow

    def gone(self, peer: Peer) -> None:
        if peer.open:
            self.live[peer.index] -= 1
            self.dropped += not peer.closing
            self.cut += bool(peer.frames.rest)
            self.unmasked += peer.frames.unmasked
        del self.peers[peer.sock.fileno()]
        peer.sock.close()


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    Server(given["count"], given["answer_close"]).run()
