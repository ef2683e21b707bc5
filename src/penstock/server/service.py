"""What a worker does: accept on the plan's addresses and serve every connection, until told to stop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.config.os_errors import os_failure
from penstock.http.reader import HeadReader
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.main import Events, Main
from penstock.modules.fleet.follow import count_fleet
from penstock.modules.http2 import spoken_at
from penstock.net.fiber import Fiber, spawn
from penstock.net.listener import Acceptor
from penstock.net.relay.tunnel import End
from penstock.net.timers import Alarm
from penstock.observe.errorlog import CRIT, WARN, report
from penstock.server.connection import Connection
from penstock.server.finish import finish
from penstock.server.first_bytes import begin_securely, first_of
from penstock.server.h1.connection import serve
from penstock.server.head_options import Readings
from penstock.server.room import Room
from penstock.server.straight.client import beginning
from penstock.server.straight.secure import open_securely
from penstock.server.straight.way import is_on
from penstock.server.stream.ports import DatagramPorts
from penstock.server.subrequest import afterwards, again, ask, behind, mirror
from penstock.server.websocket.drain import dismiss
from penstock.server.websocket.drain_servers import drain_servers
from penstock.shared.counters import COUNTERS, Figures, Share
from penstock.shared.labelled_sums import LABELLED
from penstock.shared.rows import LOADS, METERS, Rows
from penstock.websocket.close_reasons import Why

if TYPE_CHECKING:
    import socket

    from penstock.doctor.lifetimes import SeenLifetimes
    from penstock.http.request import Request
    from penstock.net.loop import Loop
    from penstock.net.stream import Stream
    from penstock.observe.meters import Meters
    from penstock.observe.selection import ToldTunnels
    from penstock.observe.upstream_list import ToldUpstream
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
        self.loop, self.timers = loop, loop.timers
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
        self.tell_others: Callable[[], bool] = _nobody
        """Has the other workers look at what is set of upstreams; whether there are any."""
        self.lifetimes: SeenLifetimes | None = None
        """What is known of how tunnels end, once one has."""
        self._acceptors: dict[Address, Acceptor] = {}
        self._datagrams = DatagramPorts(self)
        self._listens: dict[Address, Listen] = {}
        self._tell: Alarm | None = None
        self._ahead: Callable[[], bool] | None = None
        self._loads: Rows | None = None
        self._mirrors: set[Fiber[None]] = set()
        self.readings = Readings()
        self.most = 512
        self.room = Room(self)
        loop.make_room = self.room.for_descriptors

    def start(self, sockets: dict[Listen, socket.socket]) -> None:
        """Accept on these sockets, which are bound and listening."""
        plan = self.plan
        self._listens = {listen.address: listen for listen in plan.listens}
        if any(spoken_at(listen, server) for listen in plan.listens if not listen.stream for server in listen.servers):
            import penstock.server.h2.connection  # noqa: F401  now, so that no client has to wait for it
        self._compare(plan.shared.get(LOADS))
        for listen, sock in sockets.items():
            self._accept_on(listen, sock)
        events = plan.events
        self.most = events.settings(Events).worker_connections if events is not None else 512
        rows, labelled = plan.shared.get(METERS), plan.shared.get(LABELLED)
        self.meters = None
        if rows is not None and labelled is not None:
            from penstock.observe.meters import Meters

            self.meters = count_fleet(plan, Meters.of(rows, labelled, self.loop))
        counters = plan.shared.get(COUNTERS)
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
                acceptor.accept_waiting()
                acceptor.close()
                del self._acceptors[address]
        self._datagrams.keep(wanted)
        self.plan = plan
        self.generation += 1
        self.readings.clear()
        self.start(sockets)
        for connection in list(self.connections):
            if connection.drain is not None:
                connection.drain()
            elif connection.idle:
                connection.move_on()
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

    def listen_at(self, address: Address) -> Listen | None:
        """Return what the plan says of an address, or of all addresses of its port; None where nobody listens."""
        found = self._listens.get(address)
        if found is None and not isinstance(address, str):
            found = self._listens.get(("::" if ":" in address[0] else "0.0.0.0", address[1]))
        return found

    def listen_for(self, connection: Connection) -> Listen | None:
        """Return what the plan in force says of the address where a client came in; None if that is nothing."""
        found = self.listen_at(connection.listen.address)
        if found is None:
            return None
        covered = self.plan.covered_by(found)
        return covered.get(connection.local_address, found) if covered else found

    def _accept_on(self, listen: Listen, sock: socket.socket) -> None:
        shared = not listen.options.reuseport
        if listen.options.udp:
            self._datagrams.open(listen, sock, shared=shared)
            return
        turns = self.plan.main.settings(Main).worker_processes != 1
        accept = self._accept_for(listen)
        early = is_on() and first_of(listen) is serve and not self.plan.covered_by(listen)
        known = self._acceptors.get(listen.address)
        if known is not None and known.shared == shared:
            known.on_accept = accept
            known.turns = shared and turns
            known.ahead = self._ahead
            known.early = early
            return
        if known is not None:
            known.close()
        self._acceptors[listen.address] = Acceptor(
            self.loop,
            sock,
            accept,
            on_trouble=_say,
            shared=shared,
            turns=turns,
            ahead=self._ahead,
            early=early,
        )

    def _accept_for(self, listen: Listen) -> Any:
        covered = self.plan.covered_by(listen)
        first = first_of(listen)
        begin = beginning(self, listen) if is_on() else partial(Connection, self, listen=listen)
        connections, tunnels, mirrors = self.connections, self.loop.tunnels, self._mirrors

        def accept(stream: Stream, peer: Any) -> None:
            live = len(connections) + len(tunnels) + len(mirrors)
            if live >= self.most and not self.room.for_connection(self.most):
                stream.close()
                return
            self.serial += 1
            self.accepted += 1
            connection = begin(self.serial, stream, peer)
            connections.add(connection)
            do_first = first
            if covered:
                connection.reached(covered.get(connection.local_address, listen))
                do_first = first_of(connection.listen)
            if do_first is serve and connection.straight:
                connection.start()
            elif do_first is not begin_securely or not open_securely(connection):
                connection.fiber = spawn(do_first(connection))

        return accept

    def gone(self, connection: Connection) -> None:
        """Forget a connection that has ended, or has become a tunnel."""
        self.requests += connection.requests
        connection.fiber = None
        if connection.alarm is not None:
            self.timers.reclaim(connection.alarm)
            connection.alarm = None
        self.connections.discard(connection)

    def head_reader(self, server: Server) -> HeadReader:
        """Make what reads a head by the settings of a server."""
        options, small, known, _ = self.readings[server]
        number, size = server.root[HttpCore].large_client_header_buffers
        return HeadReader(options, small, number, size, known)

    async def subrequest(
        self, parent: Request, uri: str, args: str, without: frozenset[str] = frozenset()
    ) -> Request | None:
        """Ask this server itself, in the name of a request: see `server.subrequest.ask`."""
        return await ask(parent, uri, args, without)

    again, end_subrequest = staticmethod(again), staticmethod(finish)

    def mirror(self, parent: Request, uri: str, args: str, *, ended: bool = False) -> None:
        """Send a copy of a request on its way, as long as there is room for it; what has `ended` goes to its place."""
        if self.live >= self.most:
            what = "post_action is left out" if ended else "a request is not mirrored"
            report(parent, WARN, f"{what}: {self.most} worker_connections are not enough")
            return
        self._keep(spawn((afterwards if ended else mirror)(parent, uri, args, self.loop)))

    def behind(self, parent: Request, work: Callable[[Request], Coroutine[Any, Any, None]]) -> None:
        """Do something with a copy of a request that its client does not wait for."""
        self._keep(spawn(behind(parent, work, self.loop)))

    def _keep(self, fiber: Fiber[None]) -> None:
        if not fiber.done:
            self._mirrors.add(fiber)
            fiber.on_done(self._mirrors.discard)

    def figures(self) -> Figures:
        """Return what `stub_status` shows, of this worker alone. Whoever is not waiting or reading is being answered.
        """
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

    async def tunnels(self, wanted: Mapping[str, object], limit: int, sort: str = "age") -> ToldTunnels:
        """Return the tunnels of this worker that a `TunnelSelection` means, as plain values: see `tunnel_list.listed`.
        """
        from penstock.observe.selection import TunnelSelection
        from penstock.server.tunnel_list import listed

        return await listed(self.loop, TunnelSelection.read(wanted), limit, sort)

    async def close_tunnels(self, question: Mapping[str, Any]) -> int:
        """Close tunnels in all workers, as by the control socket; how many. Raises `ValueError`."""
        from penstock.observe.ask_workers import ask_siblings
        from penstock.server.tunnel_list import answer

        asked = {**question, "do": "close"}
        answers = [await answer(self.loop, asked)]
        if self.control:
            answers += (await ask_siblings(self.control, asked))[0]
        return sum(each["matched"] for each in answers)

    def upstreams(self) -> list[ToldUpstream]:
        """Describe the upstreams as this worker sees them."""
        from penstock.server.steer import upstreams_of_worker

        return upstreams_of_worker(self)

    async def steer(self, order: Mapping[str, Any]) -> int:
        """Change an upstream in all workers: see `server.steer.steer_all`."""
        from penstock.server.steer import steer_all

        return await steer_all(self, order)

    def _tell_siblings(self) -> None:
        if self.counts is not None and self._tell is not None:
            self.counts.put(self.figures())
            self._tell.set(TELL)

    @property
    def live(self) -> int:
        """Count the connections and tunnels that are open, and the copies of requests that are under way."""
        return len(self.connections) + len(self.loop.tunnels) + len(self._mirrors)

    def stop_accepting(self) -> None:
        """Close the listeners, here: siblings and the master have their own descriptors."""
        self.draining = True
        for acceptor in self._acceptors.values():
            acceptor.close()
        self._acceptors.clear()
        self._datagrams.keep({})

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
        """Let no connection that is open now take another request: as if it belonged to a worker that goes."""
        for connection in self.connections:
            connection.last = True

    def dismiss(self, before: float) -> None:
        """Let WebSockets and event streams say goodbye, which takes bounded time.

        `before`: those that have been open since a moment before this one.
        """
        for tunnel in list(self.loop.tunnels):
            if tunnel.opened <= before and getattr(tunnel.owner, "conversation", None) is not None:
                dismiss(tunnel, Why.SHUTDOWN)
        for stream in list(self.loop.event_streams):
            if stream.opened <= before:
                dismiss(stream, Why.SHUTDOWN)

    def abort_all(self, before: float = inf) -> None:
        """End everything, now; or what has been open since a moment `before` this one. WebSockets to which nothing was
        said yet get a close frame, and nobody waits for an answer."""
        for fiber in list(self._mirrors):
            if before == inf:
                fiber.cancel()
        for connection in list(self.connections):
            if connection.started > before:
                continue
            if connection.abort is not None:
                connection.abort()
                continue
            connection.stream.close()
            connection.abandon()
            if connection.fiber is not None:
                connection.fiber.cancel()
        for tunnel in list(self.loop.tunnels):
            if tunnel.opened <= before:
                dismiss(tunnel, Why.SHUTDOWN)
                tunnel.close(End.SHUTDOWN)


def _nobody() -> bool:
    return False


def _say(error: OSError) -> None:
    number = error.errno or 0
    report(None, CRIT, os_failure("accept4()", number))
