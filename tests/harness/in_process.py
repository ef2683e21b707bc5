"""A worker's service inside of the test: a client talks to it over a pair of sockets, without a port or a process.

    worker = InProcess('server { location / { return 200 ok; } }', tmp_path)
    data = worker.talk(lambda sock: ask(sock, b"GET / HTTP/1.0\\r\\n\\r\\n"))
    assert worker.ended[0].status == 200

`ended` are the requests that have been finished, as their log lines would show them; `said()` is the error log.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from harness.site import Site, listen_to
from penstock.http.request import Request
from penstock.modules.core.locations import all_locations
from penstock.net.loop import new_loop
from penstock.net.stream import Stream
from penstock.plan import phases
from penstock.server.connection import Connection
from penstock.server.h1 import connection as h1_connection
from penstock.server.h2 import connection as h2_connection
from penstock.server.service import Service
from penstock.server.straight.client import StraightConnection

T = TypeVar("T")
PATIENCE = 10.0


def ask(sock: socket.socket, data: bytes) -> bytes:
    """Send bytes, and read until the other side closes."""
    sock.sendall(data)
    return read(sock)


def read(sock: socket.socket) -> bytes:
    """Read until the other side closes."""
    found = b""
    while piece := sock.recv(65536):
        found += piece
    return found


class InProcess:
    """The inside of `http`, served to one client after the other."""

    def __init__(self, text: str, folder: Path) -> None:
        self.site = Site(text, folder)
        self.ended: list[Request] = []
        self.said = self.site.said
        plan = self.site.plan
        for server in plan.servers:
            listen_to(server.root, self.site.log)
            for location in all_locations([server.root]):
                before = location.phases[: phases.LOG]
                location.handle((*before, ((self.ended.append, False),)))
        self.loop = new_loop()
        self.service = Service(plan, self.loop)

    def talk(self, client: Callable[[socket.socket], T], *, http2: bool = False, straight: bool = False) -> T:
        """Serve one connection to its end, whose client is `client`, and closes it when it has done. What that gives is
        the result. `straight`: its requests may go straight."""
        near, far = _pair()
        near.settimeout(PATIENCE)
        stream = Stream(far, self.loop, ("127.0.0.1", 40000))
        made = StraightConnection if straight else Connection
        connection = made(self.service, 1, stream, ("127.0.0.1", 40000), self.site.listen)
        self.service.connections.add(connection)
        serve = h2_connection.serve if http2 else self._to_the_end if straight else h1_connection.serve
        with ThreadPoolExecutor(1) as pool, near:
            result = pool.submit(_closing, client, near)
            late = self.loop.call_later(PATIENCE, self.loop.stop)
            self.loop.run(serve(connection))
            late.cancel()
            return result.result(PATIENCE)

    async def _to_the_end(self, connection: Connection) -> None:
        connection.wait()
        while self.service.connections or self.loop.tunnels:
            await asyncio.sleep(0.01)


def _closing(client: Callable[[socket.socket], T], sock: socket.socket) -> T:
    with sock:
        return client(sock)


def _pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname(), PATIENCE)
        far, _ = listening.accept()
    far.setblocking(False)
    return near, far
