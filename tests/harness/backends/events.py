"""An application with a stream of numbered events that is asked with `Last-Event-ID`."""

import re
import socket
import threading

from harness.backends.threads import ThreadedServer
from harness.waiting import eventually

_LAST_ID = re.compile(rb"(?im)^last-event-id: *(\d*)")


class Story:
    """The events that there are, for all servers of an application. Every reader begins behind the id it asks with; who
    asks with none gets what is new."""

    def __init__(self) -> None:
        self._more = threading.Condition()
        self.length = 0

    def tell(self, count: int = 1) -> None:
        """Let more events happen."""
        with self._more:
            self.length += count
            self._more.notify_all()

    def wait_beyond(self, known: int, timeout: float) -> int:
        """The number of events once there are more than `known`, or after so long."""
        with self._more:
            self._more.wait_for(lambda: self.length > known, timeout)
            return self.length


class EventServer(ThreadedServer):
    """Serves a `Story` as `text/event-stream`, each event as `id: 7` and `data: event 7`, over HTTP/1.1 in chunks.

    `heads` are the requests that came. `html` is what `/` gives to browsers. `close` breaks off what is open, with
    `torn` in the middle of an event; `finish` ends it properly.
    """

    def __init__(self, story: Story, port: int = 0, *, html: str = "", head: bytes = b"") -> None:
        self.story = story
        self.html = html
        self.head = head
        self.heads: list[bytes] = []
        self.torn = False
        self._finishing = False
        super().__init__(port)

    def serve(self, connection: socket.socket, number: int) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        self.heads.append(data)
        if data.startswith(b"GET / "):
            body = self.html.encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
                               b"Content-Length: %d\r\n\r\n%b" % (len(body), body))  # fmt: skip
            return
        asked = _LAST_ID.search(data)
        at = int(asked[1]) if asked and asked[1] else self.story.length
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
                           + self.head + b"\r\n")  # fmt: skip
        _chunk(connection, b": hello\n\n")
        while not self._closing:
            for number in range(at + 1, self.story.wait_beyond(at, 0.05) + 1):
                _chunk(connection, b"id: %d\ndata: event %d\n\n" % (number, number))
                at = number
            if self._finishing:
                connection.sendall(b"0\r\n\r\n")
                return
        if self.torn:
            _chunk(connection, b"id: 999999\ndata: to")

    def finish(self) -> None:
        """End every stream properly, and listen no more."""
        self._finishing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        eventually(lambda: not self._open)
        self.close()


def _chunk(connection: socket.socket, data: bytes) -> None:
    connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))
