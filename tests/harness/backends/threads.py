"""A TCP or unix-socket server with a thread per connection."""

import socket
import ssl
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.waiting import LATE


class ThreadedServer:
    """Listens when made; `serve` says what happens on a connection. `path` makes it a unix socket."""

    def __init__(self, port: int = 0, path: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False
        self.connections = 0
        if path is not None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(path))
            self._listener.listen(128)
            self.port = 0
        else:
            self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
            self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name=type(self).__name__, daemon=True)
        self._thread.start()

    def serve(self, connection: socket.socket, number: int) -> None:
        """Talk on one connection, closed when this returns or raises OSError; `number` counts from 0."""
        raise NotImplementedError

    def arrived(self, connection: socket.socket) -> None:
        """Take note of a connection, in the order of arrival; threads begin in any order."""

    def close(self) -> None:
        """Stop listening and cut what is open."""
        self._closing = True
        # Wakes accept(); close() alone leaves the thread inside it.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(5)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number, self.connections = self.connections, self.connections + 1
            self.arrived(connection)
            threading.Thread(target=self._run, args=(connection, number), daemon=True).start()

    def _run(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(30)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(connection)
            self.serve(connection, number)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            time.sleep(LATE)
            connection.close()
