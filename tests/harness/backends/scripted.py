"""A backend that follows a script on each connection: bytes to send, and steps between them.

    RawBackend([read_head, b"HTTP/1.1 200 OK\\r\\n", pause(0.2), b"\\r\\nbody", half_close, hold])

The first connection takes the first script, and so on; the last script serves every later one. After its last
step the connection is closed.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.backends.threads import ThreadedServer


class Conversation:
    """One connection as a script sees it: the socket, and everything received so far."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.received = b""
        self.ended = threading.Event()

    def fill(self) -> bool:
        """Receive once; False at the end of the stream."""
        data = self.socket.recv(65536)
        self.received += data
        return bool(data)


Step = bytes | Callable[[Conversation], None]


def read_head(talk: Conversation) -> None:
    """Wait for a whole request head."""
    while b"\r\n\r\n" not in talk.received and talk.fill():
        pass


def read(count: int) -> Step:
    """Wait until `count` bytes have arrived in all, the head included."""

    def step(talk: Conversation) -> None:
        while len(talk.received) < count and talk.fill():
            pass

    return step


def read_until_end(talk: Conversation) -> None:
    """Wait for the other side's FIN."""
    while talk.fill():
        pass


def pause(seconds: float) -> Step:
    """Do nothing for a while."""
    return lambda talk: time.sleep(seconds)


def until(told: threading.Event) -> Step:
    """Wait for a word from the test."""

    def step(talk: Conversation) -> None:
        assert told.wait(30), "nobody said anything"

    return step


def half_close(talk: Conversation) -> None:
    """Send FIN, stay open for reading."""
    talk.socket.shutdown(socket.SHUT_WR)


def hold(talk: Conversation) -> None:
    """Read and stay silent until the other side closes or resets."""
    read_until_end(talk)


def reset(talk: Conversation) -> None:
    """End with RST."""
    talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    talk.socket.close()


class RawBackend(ThreadedServer):
    """Runs the scripts; `conversations` holds one entry per connection, in order of their arrival."""

    def __init__(
        self,
        *scripts: Sequence[Step],
        port: int = 0,
        path: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.scripts = scripts
        self.conversations: list[Conversation] = []
        super().__init__(port, path, tls)

    def arrived(self, connection: socket.socket) -> None:
        self.conversations.append(Conversation(connection))

    def serve(self, connection: socket.socket, number: int) -> None:
        talk = self.conversations[number]
        talk.socket = connection  # which may speak TLS now
        try:
            for step in self.scripts[min(number, len(self.scripts) - 1)]:
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    step(talk)
        finally:
            talk.ended.set()
