"""One end of a stream of bytes: what has come and was not looked at yet, and how it ended.

`Wire` is a connection of TCP or TLS; `streams.py` has those inside of HTTP/2.
"""

from __future__ import annotations

import fcntl
import socket
import ssl
import sys
import termios
import time

from websockets.utils import accept_key

from harness.crowd_frames import HANDSHAKE_KEY

FIN, RST = "FIN", "RST"
MOST_IN_PIECES = 600
"""Bytes of a write that go out in pieces: the rest of a long payload tells nothing more."""


class Channel:
    """`heard` is what was not taken yet, `end` how the other side has ended: "" while it has not. `over`: this side has
    done with it."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.end = ""
        self.over = False

    def fill(self, seconds: float) -> bool:
        """Wait for something to come: whether it has, an end included."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Send FIN and go on listening."""
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def head(self) -> list[str] | None:
        """Take the head that has come: its lines; None while it is not whole."""
        raise NotImplementedError

    def handshake(self, target: str, more: list[str]) -> bytes:
        """What asks for a WebSocket."""
        raise NotImplementedError

    def switch(self, key: str, more: list[str]) -> bytes:
        """What lets a WebSocket begin."""
        raise NotImplementedError


class Wire(Channel):
    """A connection. `pieces`: how many bytes go out at once at the beginning of a write, 0 for all of them."""

    def __init__(self, connection: socket.socket, pieces: int = 0) -> None:
        super().__init__()
        self.socket = connection
        self.pieces = pieces
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fill(self, seconds: float) -> bool:
        if self.end:
            return False
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except (ConnectionResetError, BrokenPipeError):
            self.end = RST
            return True
        except ssl.SSLError:
            self.end = RST
            return True
        self.heard += data
        if not data:
            self.end = FIN
        return True

    def send(self, data: bytes) -> None:
        self.socket.settimeout(20)
        first = min(len(data), MOST_IN_PIECES) if self.pieces else 0
        for at in range(0, first, self.pieces or 1):
            self.socket.sendall(data[at : min(at + self.pieces, first)])
        self.socket.sendall(data[first:])

    def finish(self) -> None:
        # TLS goes on: what comes is still to be read, which `SSLSocket.shutdown` would end.
        socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def reset(self) -> None:
        self._wait_until_sent()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        self.over = True
        self.socket.close()

    def _wait_until_sent(self) -> None:
        """Wait until the other kernel has all that was sent: a reset would throw away the rest."""
        until = time.monotonic() + 5
        left = bytearray(4)
        while time.monotonic() < until:
            fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, left)
            if not int.from_bytes(left, sys.byteorder):
                return
            time.sleep(0.001)

    def head(self) -> list[str] | None:
        head, mark, _ = bytes(self.heard).partition(b"\r\n\r\n")
        if not mark:
            return None
        del self.heard[: len(head) + 4]
        return head.decode("latin-1").split("\r\n")

    def handshake(self, target: str, more: list[str]) -> bytes:
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {HANDSHAKE_KEY}", "Sec-WebSocket-Version: 13", *more]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def switch(self, key: str, more: list[str]) -> bytes:
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accept_key(key)}", *more]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
