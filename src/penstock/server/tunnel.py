"""A 101, or the 200 to a CONNECT, becomes a tunnel: both streams go to the relay, and only the log line is left."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from penstock.http.head import RequestHead
from penstock.modules.http_core import HttpCore
from penstock.modules.log import AccessLogs
from penstock.modules.websocket_terms import Conversations
from penstock.net.errors import NetError
from penstock.net.relay import relay
from penstock.net.tunnel import End, Tunnel
from penstock.observe.errorlog import INFO, WARN, Subject, report
from penstock.server.head import render_head

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.net.stream import Stream
    from penstock.server.connection import Connection
    from penstock.server.conversation import Conversation


async def open_tunnel(connection: Connection, stream: Stream, request: Request, answer: Answer) -> None:
    """Send the head and let the relay have both streams; the tunnel's end is the request's end."""
    upgraded = answer.upgraded
    core = request.location[HttpCore]
    request.keep_alive = False
    request.answer = answer
    request.status = answer.status
    head = render_head(request, answer, chunked=False)
    try:
        sent = stream.send_now(head)
        if sent != len(head):
            await stream.send_all(memoryview(head)[sent:], timeout=core.send_timeout)
    except NetError:
        upgraded.close()
        raise
    request.bytes_sent += len(head)
    if core.tcp_nodelay:
        stream.nodelay()  # the backend's side has had it since it was dialled
    connection.service.gone(connection)
    hand_over(connection, stream, request, answer, core)


def hand_over(connection: Connection, stream: Stream, request: Request, answer: Answer, core: HttpCore) -> None:
    """Let the relay have both streams, the client's head having been sent."""
    upgraded = answer.upgraded
    request.body_bytes_sent = len(upgraded.rest)
    ending = Ending(connection, request, answer)
    terms = request.location[Conversations].terms
    talk = None
    if terms is not None:
        from penstock.server.conversing import converse

        talk = ending.conversation = converse(ending, request, answer, terms)
    meters = connection.service.meters
    if meters is not None:
        meters.opened(connection.service.timers.now - request.started)
    backend, rest = upgraded.stream, upgraded.rest
    upgraded.settle()
    connection.tunnelled = True
    relay(
        stream,
        backend,
        to_client=rest,
        idle_timeout=upgraded.read_timeout,
        send_timeouts=(core.send_timeout, upgraded.send_timeout),
        on_end=ending,
        owner=ending,
        watch=None if talk is None else talk.attach,
    )


class Since:
    """What late variables ask of a connection."""

    __slots__ = ("number", "started")

    def __init__(self, connection: Connection) -> None:
        self.number = connection.number
        self.started = connection.started


class Ending:
    """What is left to do when a tunnel has ended: count, say why if that is worth a line, log, let the peer go.

    While the tunnel lives this stands for the whole request: it has the attributes that late variables read, and
    the lines of the log as far as they were known when the tunnel opened.
    """

    __slots__ = (
        "attempts",
        "body_bytes_sent",
        "bytes_sent",
        "client",
        "completed",
        "connection",
        "conversation",
        "endings",
        "finished",
        "lines",
        "location_name",
        "on_end",
        "request",
        "request_length",
        "server_name",
        "service",
        "started",
        "status",
        "subject",
        "upgraded",
    )

    answer: Answer | None = None
    error_status = 0
    head = RequestHead("", "", "", 11, [], {})
    keep_alive = False
    tunnel_event: str | None = "close"
    variables: Mapping[str, str | None] = MappingProxyType({})

    def __init__(self, connection: Connection, request: Request, answer: Answer) -> None:
        self.service = connection.service
        self.upgraded = answer.upgraded
        self.on_end = answer.on_end
        self.endings = request.endings
        self.lines = request.location[AccessLogs].freeze(request)
        self.subject = Subject(request)
        self.request: Request | None = None
        for line in self.lines:
            if not line.self_contained:
                self.request = request
        self.connection = Since(connection)
        self.client: str = connection.client_address
        self.server_name = request.server.name
        self.location_name = request.location.name
        self.conversation: Conversation | None = None
        self.attempts = request.attempts
        self.body_bytes_sent = request.body_bytes_sent
        self.bytes_sent = request.bytes_sent
        self.request_length = request.request_length
        self.started = request.started
        self.status = request.status
        self.completed = False
        self.finished = 0.0

    def __call__(self, tunnel: Tunnel, reason: End) -> None:
        """The tunnel has ended. (The relay calls this object: a bound method would be kept with every tunnel.)"""
        from_client, from_backend = tunnel.from_client, tunnel.from_backend
        self.body_bytes_sent += from_backend
        self.bytes_sent += self.body_bytes_sent
        self.completed = reason is not End.SHUTDOWN
        self.finished = self.service.timers.now
        if self.conversation is not None:
            self.conversation.over(tunnel, reason)
        self.upgraded.ended(from_client, from_backend)
        self._book(tunnel, reason)
        _explain(self.subject, self.upgraded.module, tunnel, reason)
        late = self._late()
        for line in self.lines:
            line.write(late)
        if self.on_end is not None:
            self.on_end()
        for action in self.endings or ():
            action()

    def _book(self, tunnel: Tunnel, reason: End) -> None:
        """Count it, and say what many ends have in common."""
        service = self.service
        if service.meters is not None:
            service.meters.ended(tunnel, reason.name, self.conversation)
        known = service.lifetimes
        if known is None:
            from penstock.doctor.lifetimes import Lifetimes

            known = service.lifetimes = Lifetimes()
        age = self.finished - tunnel.opened
        if age < known.youngest and reason is not End.IDLE:
            return
        peer = self.attempts[-1].address if self.attempts else ""
        server, location, idle = self.server_name, self.location_name, tunnel.idle_timeout
        timeout = f"{self.upgraded.module}_read_timeout"
        words = known.note(server, location, peer, reason.name, age, idle, self.finished, timeout)
        if words:
            report(self.subject, WARN, words)

    @property
    def leaving(self) -> bool:
        """Whether this worker is on its way out."""
        return self.service.leaving

    def late_so_far(self, tunnel: Tunnel) -> Request | Ending:
        """What late variables may be asked of while the tunnel is open, with the figures of this moment."""
        if self.request is None:
            return self
        body, total = self.body_bytes_sent, self.bytes_sent
        self.body_bytes_sent += tunnel.from_backend
        self.bytes_sent += self.body_bytes_sent
        try:
            return self._late()
        finally:
            self.body_bytes_sent, self.bytes_sent = body, total

    def _late(self) -> Request | Ending:
        if self.request is None:
            return self
        for name in ("body_bytes_sent", "bytes_sent", "completed", "conversation", "finished"):
            setattr(self.request, name, getattr(self, name))
        return self.request


def _explain(subject: Subject, module: str, tunnel: Tunnel, reason: End) -> None:
    """One line for an end that nobody asked for."""
    if reason is End.IDLE:
        report(
            subject,
            WARN,
            f"tunnel closed after {tunnel.idle_timeout:g}s in which nothing came from either side "
            f"({module}_read_timeout; let the application send pings, or raise it)",
        )
    elif reason in (End.CLIENT_SEND_TIMEOUT, End.BACKEND_SEND_TIMEOUT):
        report(subject, WARN, f"tunnel closed: {reason.value}")
    elif reason in (End.CLIENT_RESET, End.BACKEND_RESET):
        report(subject, INFO, f"tunnel closed: {reason.value} ({tunnel.errno})")
