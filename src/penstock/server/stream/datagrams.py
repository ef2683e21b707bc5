"""Streams of datagrams: for each client that sends some, a session with a socket of its own to a backend.

    datagram -> the client's flow, a new one where there is none -> phases, as for a connection -> a tunnel of two sides

A flow ends when as many datagrams have come back as are expected (`proxy_responses`), or when nothing comes for
`proxy_timeout`. What does not fit, on the way or in a queue, is lost, as datagrams may be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.modules.stream.proxy import StreamProxy
from penstock.modules.stream.session import BAD_GATEWAY, DONE, FAILED, StreamSession
from penstock.net.datagram_port import DatagramPort, From
from penstock.net.errors import NetError
from penstock.net.fiber import spawn
from penstock.net.relay.tunnel import End, Tunnel
from penstock.observe.errorlog import ERROR, INFO, report, report_mistake
from penstock.server.connection import Connection
from penstock.server.finish import finish, release
from penstock.server.stream.datagram_sides import BackendOfDatagrams, ClientOfDatagrams
from penstock.server.stream.ending import StreamEnding
from penstock.server.stream.serve import answer_to

if TYPE_CHECKING:
    import socket

    from penstock.net.loop import HotSelector, Loop
    from penstock.plan.location import Listen
    from penstock.server.service import Service
    from penstock.upstream.exchange.upgrade import Upgrade

MOST_WAITING = 16
"""Datagrams of a client that wait until a backend is found."""


class NoStream:
    """Where a connection has its stream: a client of datagrams has none, and an exchange asks for little of it."""

    __slots__ = ("hot", "local_name", "loop", "on_hangup", "ready", "sock")

    def __init__(self, loop: Loop, local_name: tuple[str, int]) -> None:
        self.loop = loop
        self.hot: HotSelector = loop.hot
        self.local_name = local_name
        self.on_hangup: Callable[[], None] | None = None
        self.ready = False
        self.sock = None

    def close(self) -> None:
        """Do nothing: the socket is everybody's."""

    def stirs(self) -> bool:
        """Return that nothing has come of which nobody has heard."""
        return False


class Datagrams:
    """All clients of one address."""

    def __init__(self, service: Service, sock: socket.socket, listen: Listen, *, shared: bool) -> None:
        self.service = service
        self.listen = listen
        self.flows: dict[tuple[From, str], DatagramFlow] = {}
        self.port = DatagramPort(service.loop, sock, self._on_datagram, shared=shared)

    @property
    def sock(self) -> socket.socket:
        return self.port.sock

    def close(self) -> None:
        """Take nothing more. What is under way ends, as nobody could answer."""
        self.port.close()
        for flow in list(self.flows.values()):
            flow.end()

    def _on_datagram(self, data: bytes, name: From, here: str) -> None:
        flow = self.flows.get((name, here))
        if flow is None:
            service = self.service
            if service.live >= service.most and not service.room.for_connection(service.most):
                return
            flow = self.flows[name, here] = DatagramFlow(self, name, here)
            flow.receive(data)
            flow.begin()
            return
        flow.receive(data)


class DatagramFlow:
    """One client's datagrams: they wait until a backend is found, and then go to it."""

    __slots__ = ("_side", "_waiting", "connection", "here", "home", "name")

    def __init__(self, home: Datagrams, name: From, here: str) -> None:
        self.home = home
        self.name = name
        self.here = here
        self.connection: Connection | None = None
        self._waiting: list[bytes] = []
        self._side: ClientOfDatagrams | None = None

    def begin(self) -> None:
        """Begin a session for the client."""
        home = self.home
        service = home.service
        service.serial += 1
        service.accepted += 1
        ours = home.sock.getsockname()
        stream = NoStream(service.loop, (self.here or ours[0], ours[1]))
        # It stands for a stream as far as anybody asks.
        connection = self.connection = Connection(service, service.serial, stream, self.name, home.listen)  # type: ignore[arg-type]
        service.connections.add(connection)
        connection.fiber = spawn(self._serve(connection))

    def receive(self, data: bytes) -> None:
        """Pass a datagram of the client on, or keep it until that can be done."""
        if self._side is not None:
            self._side.came(data)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(data)

    def send(self, data: bytes) -> None:
        """Send a datagram to the client."""
        self.home.port.send(data, self.name, self.here)

    def leave(self) -> None:
        """Take nothing more: the client's next datagram begins another session."""
        if self.home.flows.get((self.name, self.here)) is self:
            del self.home.flows[self.name, self.here]

    def end(self) -> None:
        """End now."""
        if self._side is not None:
            self._side.tunnel.close(End.SHUTDOWN)
        elif self.connection is not None and self.connection.fiber is not None:
            self.connection.fiber.cancel()

    async def _serve(self, connection: Connection) -> None:
        connection.idle = False
        session = StreamSession(connection)
        try:
            answer = await answer_to(connection, session)
            session.status = answer.status
            # As in `serve_stream`: only `upstream/` makes them.
            upgraded: Upgrade | None = answer.upgraded  # type: ignore[assignment]
            if upgraded is not None:
                connection.service.gone(connection)
                self._pass_on(connection, session, upgraded)
                return
            session.received = sum(map(len, self._waiting))
            if isinstance(answer.body, bytes) and answer.body:
                session.bytes_sent = len(answer.body)
                self.send(answer.body)
            elif answer.status == DONE:
                session.status = FAILED
                report(session, ERROR, "cannot pass udp connection while passing connection to port")
        except NetError as error:
            report(session, INFO, str(error))
        except Exception as error:
            session.status = FAILED
            report_mistake(session, error)
        finally:
            if not connection.tunnelled:
                self.leave()
                try:
                    finish(session)
                finally:
                    connection.service.gone(connection)

    def _pass_on(self, connection: Connection, session: StreamSession, upgraded: Upgrade) -> None:
        """Make a tunnel of the client and the backend, and send what has waited."""
        session.status = DONE
        proxy = session.location[StreamProxy]
        backend = upgraded.stream
        assert backend is not None
        loop = connection.service.loop
        ending = DatagramEnding(connection, session, upgraded)
        client = ClientOfDatagrams(self, self.home.sock, loop.hot, proxy, session)
        sock, mask, _ = backend.release()
        if mask:
            loop.hot.forget(sock.fileno())
        far = BackendOfDatagrams(client, sock, loop.hot, proxy.responses)
        meters = connection.service.meters
        if meters is not None:
            meters.opened(connection.service.timers.now - session.started)
        upgraded.release()
        connection.tunnelled = True
        tunnel = Tunnel(loop, upgraded.read_timeout, ending, owner=ending)
        tunnel.join(client, far)
        ending.lacks = far.lacks
        session.no_longer(upgraded)
        release(session)
        self._side = client
        tunnel.start()
        far.begin()
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            if tunnel.reason is None:
                client.came(data)


class DatagramEnding(StreamEnding):
    """The end of a session of datagrams: one whose backend has not answered as it should has failed."""

    __slots__ = ("lacks",)

    lacks: Callable[[], bool]
    """Whether something was expected that has not come."""

    def over(self, tunnel: Tunnel, reason: End) -> None:
        if reason is End.BACKEND_RESET or (reason is End.IDLE and self.lacks()):
            self.status = BAD_GATEWAY
            self.upgraded.blame()
        super().over(tunnel, reason)
