"""What a worker does: accept on the plan's addresses and serve every connection, until told to stop."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.http.head import HeadOptions
from penstock.http.reader import HeadReader
from penstock.modules.http2 import spoken_at
from penstock.modules.http_core import HttpCore
from penstock.modules.main import Events
from penstock.net.errors import NetError
from penstock.net.fiber import Fiber, spawn
from penstock.net.listener import Acceptor
from penstock.net.relay import End
from penstock.net.timers import Alarm
from penstock.observe.errorlog import ALERT, CRIT, WARN, report
from penstock.plan.counters import COUNTERS, Counters, Figures, Share
from penstock.server.connection import Connection
from penstock.server.http1 import serve

if TYPE_CHECKING:
    import socket

    from penstock.http.request import Request
    from penstock.net.loop import Loop
    from penstock.net.stream import Stream
    from penstock.plan.location import Listen, Server
    from penstock.plan.plan import Plan


TELL = 1.0
"""Seconds after which siblings know what has become of this worker's figures."""


class Service:
    """All connections of one worker. `draining` says that no connection may stay for another request."""

    def __init__(self, plan: Plan, loop: Loop) -> None:
        self.plan = plan
        self.loop = loop
        self.timers = loop.timers
        self.draining = False
        self.connections: set[Connection] = set()
        self.serial = 0
        self.requests = 0
        """Of connections that have ended; `figures` adds those of the others."""
        self.accepted = 0
        self.counts: Share | None = None
        """Where this worker tells its siblings its figures, if anybody asks for their sum (`stub_status`)."""
        self._acceptors: list[Acceptor] = []
        self._mirrors: set[Fiber[None]] = set()
        self._readers: dict[Server, Callable[[], HeadReader]] = {}
        events = plan.events
        self.most = events.settings(Events).worker_connections if events is not None else 512

    def start(self, sockets: dict[Listen, socket.socket]) -> None:
        """Accept on these sockets, which are bound and listening."""
        for listen, sock in sockets.items():
            shared = not listen.options.reuseport
            acceptor = Acceptor(self.loop, sock, self._accept_for(listen), on_trouble=_say, shared=shared)
            self._acceptors.append(acceptor)
        counters: Counters | None = self.plan.shared.get(COUNTERS)
        if counters is not None:
            self._tell = Alarm(self.timers, self._tell_siblings)
            self.counts = counters.share()
            self._tell_siblings()

    def _covered_by(self, listen: Listen) -> dict[str, Listen]:
        """Addresses of a port that is bound by its wildcard only: the server is chosen by where a client came in."""
        address = listen.address
        if isinstance(address, str) or address[0] not in ("0.0.0.0", "::"):
            return {}
        return {
            other.address[0]: other
            for other in self.plan.listens
            if other is not listen and not isinstance(other.address, str) and other.address[1] == address[1]
        }

    def _accept_for(self, listen: Listen) -> Any:
        covered = self._covered_by(listen)

        def accept(stream: Stream, peer: Any) -> None:
            if self.live >= self.most:
                report(None, ALERT, f"{self.most} worker_connections are not enough")
                stream.close()
                return
            self.serial += 1
            self.accepted += 1
            connection = Connection(self, self.serial, stream, peer, listen)
            if covered:
                connection.reached(covered.get(connection.local_address, listen))
            self.connections.add(connection)
            connection.fiber = spawn(begin(connection))

        return accept

    def gone(self, connection: Connection) -> None:
        """The connection has ended, or has become a tunnel."""
        self.requests += connection.requests
        connection.fiber = None
        self.connections.discard(connection)

    def head_reader(self, server: Server) -> HeadReader:
        """What reads a head by the settings of a server."""
        found = self._readers.get(server)
        if found is None:
            core = server.root[HttpCore]
            options = HeadOptions(
                underscores_in_headers=core.underscores_in_headers,
                ignore_invalid_headers=core.ignore_invalid_headers,
                merge_slashes=core.merge_slashes,
                max_headers=core.max_headers,
                allow_connect=any(each.allow_connect for listen in server.listens for each in listen.servers),
                bare_line_feeds=True,
            )
            number, size = core.large_client_header_buffers
            found = self._readers[server] = partial(HeadReader, options, core.client_header_buffer_size, number, size)
        return found()

    async def subrequest(
        self, parent: Request, uri: str, args: str, without: frozenset[str] = frozenset()
    ) -> Request | None:
        """Ask this server itself, in the name of a request: see `server.subrequest.ask`."""
        from penstock.server.subrequest import ask

        return await ask(parent, uri, args, without)

    async def end_subrequest(self, request: Request) -> None:
        """Nobody wants more of a subrequest."""
        from penstock.server.subrequest import end

        await end(request)

    def mirror(self, parent: Request, uri: str, args: str) -> None:
        """Send a copy of a request on its way, as long as there is room for it."""
        from penstock.server.subrequest import mirror

        if self.live >= self.most:
            report(parent, WARN, f"a request is not mirrored: {self.most} worker_connections are not enough")
            return
        fiber = spawn(mirror(parent, uri, args))
        if not fiber.done:
            self._mirrors.add(fiber)
            fiber.on_done(self._mirrors.discard)

    def figures(self) -> Figures:
        """What `stub_status` shows, of this worker alone. Whoever is not waiting or reading is being answered."""
        connections = self.connections
        waiting = sum(connection.idle for connection in connections)
        reading = sum(connection.reading for connection in connections)
        tunnels = 0 if self.draining else len(self.loop.tunnels)
        active = len(connections) + tunnels
        return Figures(
            accepts=self.accepted,
            handled=self.accepted,
            requests=self.requests + sum(connection.requests for connection in connections),
            active=active,
            reading=reading,
            writing=active - waiting - reading,
            waiting=waiting,
        )

    def _tell_siblings(self) -> None:
        if self.counts is not None:
            self.counts.tell(self.figures())
            self._tell.set(TELL)

    @property
    def live(self) -> int:
        """Connections and tunnels that are open, and copies of requests that are under way."""
        return len(self.connections) + len(self.loop.tunnels) + len(self._mirrors)

    def stop_accepting(self) -> None:
        """Close the listeners, here: siblings and the master have their own descriptors."""
        self.draining = True
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()

    def close_idle(self) -> None:
        """End what waits for a request of which nothing has come yet."""
        for connection in list(self.connections):
            if connection.drain is not None:
                connection.drain()
            elif connection.idle and not connection.stream.ready:
                connection.stream.close()
                if connection.fiber is not None:
                    connection.fiber.cancel()

    async def drained(self) -> None:
        """Wait until the last connection and the last tunnel have ended."""
        import asyncio

        while self.live:
            await asyncio.sleep(0.05)

    def abort_all(self) -> None:
        """End everything, now."""
        for fiber in list(self._mirrors):
            fiber.cancel()
        for connection in list(self.connections):
            connection.stream.close()
            if connection.fiber is not None:
                connection.fiber.cancel()
        for tunnel in list(self.loop.tunnels):
            tunnel.close(End.SHUTDOWN)


async def begin(connection: Connection) -> None:
    """What comes before the first request: the PROXY protocol and TLS, where the address asks for them."""
    options = connection.listen.options
    if options.proxy_protocol:
        from penstock.server.proxy_protocol import read_header

        if not await read_header(connection):
            return
    if options.ssl:
        from penstock.server.secure import handshake

        if not await handshake(connection):
            return
    if speaks_http2(connection) and (connection.tls is not None or await begins_http2(connection)):
        from penstock.server.http2 import serve as serve_http2

        await serve_http2(connection)
        return
    await serve(connection)


def speaks_http2(connection: Connection) -> bool:
    """Whether HTTP/2 was agreed on by ALPN, or may be begun without a word on a plain address."""
    tls = connection.tls
    if tls is not None:
        return bool(tls.ssl.selected_alpn_protocol() == "h2")
    return spoken_at(connection.listen, connection.server) and not connection.listen.options.ssl


async def begins_http2(connection: Connection) -> bool:
    """Whether a client begins with the preface of HTTP/2 (RFC 9113, section 3.4), which is left where it is. If it
    says nothing at all, `serve` finds out the same."""
    stream, preface = connection.stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    had = 0
    try:
        while True:
            data = await stream.peek(had, len(preface), connection.server.root[HttpCore].client_header_timeout)
            if len(data) <= had or not preface.startswith(data):
                return False
            if len(data) == len(preface):
                return True
            had = len(data)
    except NetError:
        return False


def _say(error: OSError) -> None:
    number = error.errno or 0
    report(None, CRIT, f"accept4() failed ({number}: {os.strerror(number)})")
