"""A 101, or the 200 to a CONNECT, becomes a tunnel: both streams go to the relay, and only the log line is left."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from penstock.http.head import RequestHead
from penstock.http.request import NO_PEER
from penstock.modules.core.http_core import HttpCore
from penstock.modules.logs.log import AccessLogs
from penstock.modules.tracing.tunnel_spans import TunnelSpans
from penstock.modules.websocket.terms import Conversations
from penstock.net.errors import NetError
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import End, Tunnel
from penstock.observe.errorlog import INFO, WARN, Subject, Words, report, words_of
from penstock.server.finish import forget, let_go_of_body, release
from penstock.server.head import render_head
from penstock.shared.hints import HINTS

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.http.response import ResponseHead
    from penstock.net.stream import Stream
    from penstock.net.timers import Alarm
    from penstock.server.connection import Connection
    from penstock.server.h2.request_connection import View
    from penstock.server.websocket.session import Conversation
    from penstock.upstream.exchange.upgrade import Upgrade


def begin_tunnel(
    connection: Connection, stream: Stream, request: Request, answer: Answer
) -> Coroutine[object, None, None] | None:
    """Send the head and let the relay have both streams; the tunnel's end is the request's end. What may have to wait
    is left to be awaited."""
    core = request.location[HttpCore]
    request.keep_alive = False
    request.answer = answer
    request.status = answer.status
    head = render_head(request, answer, chunked=False)
    try:
        sent = stream.send_now(head)
    except NetError:
        if answer.upgraded is not None:
            answer.upgraded.close()
        raise
    request.bytes_sent += len(head)
    if sent != len(head):
        return _begin_late(connection, stream, request, answer, head[sent:])
    _open(connection, stream, request, answer, core)
    return None


async def _begin_late(
    connection: Connection, stream: Stream, request: Request, answer: Answer, unsent: bytes
) -> None:
    """Send the rest of a head that the kernel did not take at once, and go on."""
    core = request.location[HttpCore]
    try:
        await stream.send_all(unsent, timeout=core.send_timeout)
    except NetError:
        if answer.upgraded is not None:
            answer.upgraded.close()
        raise
    _open(connection, stream, request, answer, core)


def open_plain(
    connection: Connection, stream: Stream, request: Request, upgraded: Upgrade, core: HttpCore
) -> None:
    """Let the relay have both streams of a tunnel whose frames nobody looks at, and of whose answer nothing is kept."""
    if core.tcp_nodelay:
        stream.nodelay()
    service = connection.service
    alarm, connection.alarm = connection.alarm, None
    service.gone(connection)
    request.body_bytes_sent = len(upgraded.rest)
    _join(connection, stream, request, upgraded, Ending(connection, request, upgraded), core, alarm=alarm)
    if request.held:
        release(request)


def _join(
    connection: Connection | View,
    stream: Stream,
    request: Request,
    upgraded: Upgrade,
    ending: Ending,
    core: HttpCore,
    *,
    alarm: Alarm | None = None,
    watch: Callable[[Tunnel], None] | None = None,
) -> None:
    """Count a tunnel, and let the relay have both its streams."""
    service = connection.service
    backend, rest = upgraded.stream, upgraded.rest
    assert backend is not None, "a tunnel is opened once"
    if service.meters is not None:
        service.meters.opened(service.timers.now - request.started)
        service.meters.tried(request.server.name, request.attempts, ending.status)
    upgraded.release()
    connection.tunnelled = True
    tunnel = relay(
        stream,
        backend,
        to_client=rest,
        idle_timeout=upgraded.read_timeout,
        send_timeouts=(core.send_timeout, upgraded.send_timeout),
        on_end=ending,
        owner=ending,
        watch=watch,
        alarm=alarm,
        websocket=speaks_websocket(request.upstream_head),
    )
    if ending.spans is not None:
        ending.spans.follow(tunnel)


def speaks_websocket(head: ResponseHead | None) -> bool:
    """Return whether a backend's 101 names WebSocket alone."""
    return head is not None and head.fields.get("upgrade", "").lower() == "websocket"


def _open(connection: Connection, stream: Stream, request: Request, answer: Answer, core: HttpCore) -> None:
    if core.tcp_nodelay:
        stream.nodelay()  # the backend's side has had it since it was dialled
    connection.service.gone(connection)
    hand_over(connection, stream, request, answer, core)


def hand_over(connection: Connection | View, stream: Stream, request: Request, answer: Answer, core: HttpCore) -> None:
    """Let the relay have both streams, the client's head having been sent."""
    # Only `upstream/` makes them: `http/` does not know how a tunnel ends.
    upgraded: Upgrade = answer.upgraded  # type: ignore[assignment]
    request.body_bytes_sent = len(upgraded.rest)
    ending = Ending(connection, request, upgraded)
    terms = request.location[Conversations].terms
    talk = None
    if terms is not None:
        from penstock.server.websocket.open import converse

        talk = ending.conversation = converse(ending, request, answer, terms)
    _join(connection, stream, request, upgraded, ending, core, watch=None if talk is None else talk.attach)
    request.no_longer(upgraded)
    release(request)
    let_go_of_body(request)


class Since:
    """What late variables ask of a connection."""

    __slots__ = ("number", "started")

    def __init__(self, number: int, started: float) -> None:
        self.number = number
        self.started = started


class Ending:
    """What is left to do when a tunnel has ended: count, say why if that is worth a line, log, let the peer go.

    While the tunnel lives this stands for the whole request: it has the attributes that late variables read, and
    the lines of the log as far as they were known when the tunnel opened.
    """

    __slots__ = (
        "_error_log",
        "_words",
        "attempts",
        "body_bytes_sent",
        "bytes_sent",
        "client",
        "completed",
        "connected",
        "conversation",
        "endings",
        "finished",
        "lines",
        "location_name",
        "number",
        "request",
        "request_length",
        "server_name",
        "service",
        "spans",
        "started",
        "status",
        "upgraded",
    )

    answer: Answer | None = None
    error_status = 0
    head = RequestHead("", "", "", 11, [], {})
    keep_alive = False
    tunnel_event: str | None = "close"
    bare = False
    """Whether it is a stream's: there was no request."""
    late_names: ClassVar[tuple[str, ...]] = ("body_bytes_sent", "bytes_sent", "completed", "conversation", "finished")
    """What late variables may ask of it."""
    variables: Mapping[str, str | None] = MappingProxyType({})

    def __init__(self, connection: Connection | View, request: Request, upgraded: Upgrade) -> None:
        self.service = connection.service
        self.upgraded = upgraded
        # Before what ends with the request is taken over: a span that would be made then is another's from now on.
        self.spans = None if request.contexts is None else TunnelSpans.begin(self.service, request)
        self.endings = request.endings
        self.lines = request.location[AccessLogs].freeze(request)
        self._error_log = request.location.error_log
        plain = request.parent is None and request.log_context is None
        self._words: Words | Subject = words_of(request) if plain else Subject(request)
        self.request: Request | None = None
        for line in self.lines:
            if not line.self_contained:
                self.request = request
        self.number: int = connection.number
        self.connected: float = connection.started
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

    @property
    def connection(self) -> Since:
        """Return what is known of the connection, made when somebody asks: each tunnel has 48 bytes less so."""
        return Since(self.number, self.connected)

    @property
    def subject(self) -> Subject:
        """Return what lines of the error log about it are about, likewise."""
        words = self._words
        return words if isinstance(words, Subject) else Subject.kept(self._error_log, self.number, words)

    @subject.setter
    def subject(self, subject: Subject) -> None:
        self._words = subject

    def __call__(self, tunnel: Tunnel, reason: End) -> None:
        """The tunnel has ended. (The relay calls this object: a bound method would be kept with every tunnel.)"""
        from_client, from_backend = tunnel.from_client, tunnel.from_backend
        self._count(from_client, from_backend)
        self.completed = reason is not End.SHUTDOWN
        self.finished = self.service.timers.now
        if self.conversation is not None:
            self.conversation.over(tunnel, reason)
        self.upgraded.ended(from_client, from_backend)
        self._book(tunnel, reason)
        if self.spans is not None:
            self.spans.over(self.status, tunnel, reason.name, self.conversation)
        self._explain(tunnel, reason)
        late = self._late()
        for line in self.lines:
            line.write(late)
        for action in self.endings or ():
            action()
        if self.request is not None:
            forget(self.request)

    def _count(self, from_client: int, from_backend: int) -> None:
        """Add what has flowed."""
        self.body_bytes_sent += from_backend
        self.bytes_sent += self.body_bytes_sent

    def _book(self, tunnel: Tunnel, reason: End) -> None:
        """Count it, and say what many ends have in common."""
        service = self.service
        if service.meters is not None:
            service.meters.ended(tunnel, reason.name, self.conversation, self.labels)
        known = service.lifetimes
        if known is None:
            from penstock.doctor.lifetimes import SeenLifetimes

            known = service.lifetimes = SeenLifetimes()
        age = self.finished - tunnel.opened
        if age < known.youngest and reason is not End.IDLE:
            return
        peer = self.attempts[-1].address if self.attempts else ""
        server, location, idle = self.server_name, self.location_name, tunnel.idle_timeout
        timeout = f"{self.upgraded.module}_read_timeout"
        words = known.note(server, location, peer, reason.name, age, idle, self.finished, timeout)
        hints = service.plan.shared.get(HINTS)
        said = f"ends {reason.name} {server} {location}"
        if words and (hints is None or hints.may_say(said, self.finished, known.again)):
            report(self.subject, WARN, words)

    @property
    def labels(self) -> tuple[str, str, str]:
        """Return the server, the upstream and the peer that its figures are counted under."""
        attempts = self.attempts
        return (self.server_name, *(attempts[-1].label if attempts else NO_PEER))

    @property
    def leaving(self) -> bool:
        """Return whether this worker is on its way out."""
        return self.service.leaving

    def late_so_far(self, tunnel: Tunnel) -> Request | Ending:
        """Return what late variables may be asked of while the tunnel is open, with the figures of this moment."""
        if self.request is None:
            return self
        before = {name: getattr(self, name) for name in self.late_names}
        self._count(tunnel.from_client, tunnel.from_backend)
        try:
            return self._late()
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def _late(self) -> Request | Ending:
        if self.request is None:
            return self
        for name in self.late_names:
            setattr(self.request, name, getattr(self, name))
        return self.request


    def _explain(self, tunnel: Tunnel, reason: End) -> None:
        """One line for an end that nobody asked for."""
        if reason is End.CLIENT_CLOSED or reason is End.BACKEND_CLOSED:
            return
        explain(self.subject, f"{self.upgraded.module}_read_timeout", tunnel, reason)


def explain(subject: Subject, timeout: str, tunnel: Tunnel, reason: End, level: int = WARN) -> None:
    """Write one line for an end that nobody asked for. `timeout` is the name of the directive for silence."""
    if reason is End.IDLE:
        report(
            subject,
            level,
            f"tunnel closed after {tunnel.idle_timeout:g}s in which nothing came from either side "
            f"({timeout}; let the application send pings, or raise it)",
        )
    elif reason in (End.CLIENT_SEND_TIMEOUT, End.BACKEND_SEND_TIMEOUT):
        report(subject, level, f"tunnel closed: {reason.value}")
    elif reason in (End.CLIENT_RESET, End.BACKEND_RESET):
        report(subject, INFO, f"tunnel closed: {reason.value} ({tunnel.errno})")
