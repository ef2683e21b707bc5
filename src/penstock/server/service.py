"""What a worker does: accept on the plan's addresses and serve every connection, until told to stop."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.http.head import HeadOptions
from penstock.http.reader import HeadReader, known_by
from penstock.modules.http2 import spoken_at
from penstock.modules.http_core import HttpCore
from penstock.modules.main import Events, Main
from penstock.modules.websocket_drain import drain_rule
from penstock.net.fiber import Fiber, spawn
from penstock.net.listener import Acceptor
from penstock.net.timers import Alarm
from penstock.net.tunnel import End
from penstock.observe.errorlog import ALERT, CRIT, WARN, report
from penstock.plan.counters import COUNTERS, Counters, Figures, Share
from penstock.plan.rows import LOADS, METERS, Rows
from penstock.server.beginning import begin, first_of
from penstock.server.connection import Connection
from penstock.websocket.endings import Why

if TYPE_CHECKING:
    import socket

    from penstock.doctor.lifetimes import Lifetimes
    from penstock.http.request import Request
    from penstock.net.loop import Loop
    from penstock.net.stream import Stream
    from penstock.observe.meters import Meters
    from penstock.observe.selection import Selection
    from penstock.plan.location import Listen, Server
    from penstock.plan.plan import Plan

Address: TypeAlias = "tuple[Any, ...] | str"

TELL = 1.0
"""Seconds after which siblings know what has become of this worker's figures."""


class Service:
    """All connections of one worker. `draining` says that no connection may stay for another request.

    The plan may be replaced while connections are open (`adopt`); `generation` counts that. A request goes on by the
    plan it began with; a connection takes the new one up with its next request (`Connection.move_on`).
    """

    def __init__(self, plan: Plan, loop: Loop) -> None:
        self.plan = plan
        self.loop = loop
        self.timers = loop.timers
        self.draining = False
        self.leaving = False
        """Whether the whole worker is on its way out."""
        self.generation = 0
        self.connections: set[Connection] = set()
        self.serial = 0
        self.requests = 0
        """Of connections that have ended; `figures` adds those of the others."""
        self.accepted = 0
        self.counts: Share | None = None
        """Where this worker tells its siblings its figures, if anybody asks for their sum (`stub_status`)."""
        self.control = ""
        """The folder in which siblings can be asked what they do; "" for none."""
        self.meters: Meters | None = None
        """What `metrics` shows, if anybody asks for it."""
        self.lifetimes: Lifetimes | None = None
        """What is known of how tunnels end, once one has."""
        self._acceptors: dict[Address, Acceptor] = {}
        self._listens: dict[Address, Listen] = {}
        self._tell: Alarm | None = None
        self._ahead: Callable[[], bool] | None = None
        self._loads: Rows | None = None
        self._mirrors: set[Fiber[None]] = set()
        self._readers: dict[Server, Callable[[], HeadReader]] = {}
        self.most = 512

    def start(self, sockets: dict[Listen, socket.socket]) -> None:
        """Accept on these sockets, which are bound and listening."""
        plan = self.plan
        self._listens = {listen.address: listen for listen in plan.listens}
        if any(spoken_at(listen, server) for listen in plan.listens for server in listen.servers):
            import penstock.server.http2  # noqa: F401  now, so that no client has to wait for it
        self._compare(plan.shared.get(LOADS))
        for listen, sock in sockets.items():
            self._accept_on(listen, sock)
        events = plan.events
        self.most = events.settings(Events).worker_connections if events is not None else 512
        rows: Rows | None = plan.shared.get(METERS)
        self.meters = None
        if rows is not None:
            from penstock.observe.meters import Meters

            self.meters = Meters.of(rows, self.loop)
        counters: Counters | None = plan.shared.get(COUNTERS)
        if counters is not None and (self.counts is None or self.counts.rows is not counters):
            self.counts = counters.share()
            if self._tell is None:
                self._tell = Alarm(self.timers, self._tell_siblings)
            self._tell_siblings()
        elif counters is None:
            self.counts = None

    def adopt(self, plan: Plan, sockets: dict[Listen, socket.socket]) -> None:
        """Serve by another plan from now on, and accept on these sockets only: those that were there before go on
        without a gap. What is under way is left alone."""
        wanted = {listen.address: sock for listen, sock in sockets.items()}
        for address, acceptor in list(self._acceptors.items()):
            if wanted.get(address) is not acceptor.sock:
                # Who is in the queue has been told that it is connected.
                acceptor.take_waiting()
                acceptor.close()
                del self._acceptors[address]
        self.plan = plan
        self.generation += 1
        self._readers.clear()
        self.start(sockets)
        for connection in list(self.connections):
            if connection.drain is not None:
                connection.drain()
            elif connection.idle:
                connection.move_on()
        if drain_rule(plan) is not None:
            from penstock.server.drain import drain_servers

            drain_servers(self.loop, plan)

    def _compare(self, loads: Rows | None) -> None:
        """Compare this worker's connections with those of others in `loads`, if there are others."""
        if loads is self._loads:
            return
        self._loads, self._ahead = loads, None
        row = loads.share() if loads is not None else None
        if row is not None:
            from penstock.server.balance import Balance

            self._ahead = Balance(row, lambda: self.live).ahead

    def listen_for(self, connection: Connection) -> Listen | None:
        """By what the plan in force says of the address where a client came in; None if it says nothing any more."""
        address = connection.listen.address
        found = self._listens.get(address)
        if found is None and not isinstance(address, str):
            found = self._listens.get(("::" if ":" in address[0] else "0.0.0.0", address[1]))
        if found is None:
            return None
        covered = self._covered_by(found)
        return covered.get(connection.local_address, found) if covered else found

    def _accept_on(self, listen: Listen, sock: socket.socket) -> None:
        shared = not listen.options.reuseport
        turns = self.plan.main.settings(Main).worker_processes != 1
        accept = self._accept_for(listen)
        known = self._acceptors.get(listen.address)
        if known is not None and known.shared == shared:
            known.on_accept = accept
            known.turns = shared and turns
            known.ahead = self._ahead
            return
        if known is not None:
            known.close()
        self._acceptors[listen.address] = Acceptor(
            self.loop, sock, accept, on_trouble=_say, shared=shared, turns=turns, ahead=self._ahead
        )

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
        first = begin if covered else first_of(listen)
        connections, tunnels, mirrors = self.connections, self.loop.tunnels, self._mirrors

        def accept(stream: Stream, peer: Any) -> None:
            if len(connections) + len(tunnels) + len(mirrors) >= self.most:
                report(None, ALERT, f"{self.most} worker_connections are not enough")
                stream.close()
                return
            self.serial += 1
            self.accepted += 1
            connection = Connection(self, self.serial, stream, peer, listen)
            if covered:
                connection.reached(covered.get(connection.local_address, listen))
            connections.add(connection)
            connection.fiber = spawn(first(connection))

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
                allow_connect=server.meets_connect,
                bare_line_feeds=True,
            )
            number, size = core.large_client_header_buffers
            found = self._readers[server] = partial(
                HeadReader, options, core.client_header_buffer_size, number, size, known_by(options)
            )
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

    async def tunnels(self, selection: Selection, limit: int) -> dict[str, Any]:
        """The tunnels of this worker that are meant: see `server.registry.listed`."""
        from penstock.server.registry import listed

        return await listed(self.loop, selection, limit)

    def _tell_siblings(self) -> None:
        if self.counts is not None and self._tell is not None:
            self.counts.tell(self.figures())
            self._tell.set(TELL)

    @property
    def live(self) -> int:
        """Connections and tunnels that are open, and copies of requests that are under way."""
        return len(self.connections) + len(self.loop.tunnels) + len(self._mirrors)

    def stop_accepting(self) -> None:
        """Close the listeners, here: siblings and the master have their own descriptors."""
        self.draining = True
        for acceptor in self._acceptors.values():
            acceptor.close()
        self._acceptors.clear()

    def close_idle(self) -> None:
        """End what waits for a request of which nothing has come yet, and may not have it."""
        for connection in list(self.connections):
            if not (self.draining or connection.last):
                continue
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

    def retire(self) -> None:
        """No connection that is open now takes another request: as if it belonged to a worker that goes."""
        for connection in self.connections:
            connection.last = True

    def abort_all(self, before: float = inf) -> None:
        """End everything, now; or what has been open since a moment `before` this one.

        WebSockets say goodbye, which takes bounded time.
        """
        from penstock.server.drain import dismiss

        for fiber in list(self._mirrors):
            if before == inf:
                fiber.cancel()
        for connection in list(self.connections):
            if connection.started > before:
                continue
            connection.stream.close()
            if connection.fiber is not None:
                connection.fiber.cancel()
        for tunnel in list(self.loop.tunnels):
            if tunnel.opened <= before:
                dismiss(tunnel, Why.SHUTDOWN)

    def cut(self) -> None:
        """There is no time left, not even to say goodbye."""
        for tunnel in list(self.loop.tunnels):
            tunnel.close(End.SHUTDOWN)


def _say(error: OSError) -> None:
    number = error.errno or 0
    report(None, CRIT, f"accept4() failed ({number}: {os.strerror(number)})")
