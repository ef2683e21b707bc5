"""What is kept of a request while its tunnel is open, and what is left to do when that ends."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from penstock.http.head import RequestHead
from penstock.http.request import NO_PEER, Attempt
from penstock.modules.logs.log import AccessLogs
from penstock.modules.tracing.keys import TRACE
from penstock.net.relay.tunnel import End, Tunnel
from penstock.observe.accesslog import FrozenLine
from penstock.observe.errorlog import INFO, WARN, Subject, report
from penstock.server.finish import forget
from penstock.shared.hints import HINTS

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.modules.tracing.tunnel_spans import TunnelSpans
    from penstock.server.connection import Connection
    from penstock.server.h2.request_connection import View
    from penstock.server.websocket.session import Conversation
    from penstock.upstream.exchange.upgrade import TakenPeer


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
        "_frozen",
        "_host",
        "_line",
        "_log",
        "_referer",
        "_tried",
        "_upstream",
        "body_bytes_sent",
        "bytes_sent",
        "client",
        "completed",
        "connected",
        "conversation",
        "endings",
        "finished",
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

    def __init__(self, connection: Connection | View, request: Request, upgraded: TakenPeer) -> None:
        self.service = service = connection.service
        self.upgraded = upgraded
        # Before what ends with the request is taken over: a span that would be made then is another's from now on.
        self.spans: TunnelSpans | None = None
        if request.contexts is not None and TRACE in request.contexts:
            from penstock.modules.tracing.tunnel_spans import TunnelSpans

            self.spans = TunnelSpans.begin(service, request)
        self.endings = request.endings
        location, head = request.location, request.head
        self.request: Request | None = None
        # What is known of the line of the log: a text, or lines where there are several, or none. One that is alone, as
        # nearly always, is no object of its own.
        self._frozen: str | tuple[FrozenLine, ...]
        logs = location[AccessLogs]
        self._log = log = logs.alone
        if log is not None:
            self._frozen = log.format.freeze(request)
            if not log.format.self_contained:
                self.request = request
        else:
            self._frozen = lines = logs.freeze(request)
            for line in lines:
                if not line.self_contained:
                    self.request = request
        self._error_log = location.error_log
        # What lines of the error log are about. In slots, it is 64 bytes less than as a tuple.
        self._line: str | Subject
        if request.parent is None and request.log_context is None:
            self._line, self._upstream = head.line, request.upstream_url
            fields = head.fields
            self._host, self._referer = fields.get("host"), fields.get("referer")
        else:
            self._line = Subject(request)
        self.number: int = connection.number
        self.connected: float = connection.started
        self.client: str = connection.client_address
        self.server_name = request.server.name
        self.location_name = location.name
        self.conversation: Conversation | None = None
        # The attempts: one that is alone, as nearly always, is in no list.
        tried = request.attempts
        self._tried = tried[0] if tried is not None and len(tried) == 1 else tried
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
    def attempts(self) -> list[Attempt] | None:
        """Return the attempts at backends, likewise."""
        tried = self._tried
        return [tried] if isinstance(tried, Attempt) else tried

    @attempts.setter
    def attempts(self, attempts: list[Attempt] | None) -> None:
        self._tried = attempts

    @property
    def lines(self) -> tuple[FrozenLine, ...]:
        """Return the lines of the access log, likewise."""
        log, frozen = self._log, self._frozen
        if isinstance(frozen, tuple):
            return frozen
        assert log is not None and log.file is not None
        return (FrozenLine(log.format, frozen, log.file),)

    @lines.setter
    def lines(self, lines: tuple[FrozenLine, ...]) -> None:
        self._log, self._frozen = None, lines

    @property
    def subject(self) -> Subject:
        """Return what lines of the error log about it are about, likewise."""
        line = self._line
        if isinstance(line, Subject):
            return line
        words = self.client, self.server_name, line, self._upstream, self._host, self._referer
        return Subject.kept(self._error_log, self.number, words)

    @subject.setter
    def subject(self, subject: Subject) -> None:
        self._line = subject

    def __call__(self, tunnel: Tunnel, reason: End) -> None:
        """The tunnel has ended. (The relay calls this object: a bound method would be kept with every tunnel.)"""
        from_client, from_backend = tunnel.totals
        self._count(from_client, from_backend)
        self.completed = reason is not End.SHUTDOWN
        self.finished = self.service.timers.now
        if self.conversation is not None:
            self.conversation.over(tunnel, reason)
        self.upgraded.ended(from_client, from_backend)
        self._book(tunnel, reason)
        if self.spans is not None:
            self.spans.over(self.status, tunnel, reason.name, self.conversation)
        if self.bare or (reason is not End.CLIENT_CLOSED and reason is not End.BACKEND_CLOSED):
            self._explain(tunnel, reason)
        late = self if self.request is None else self._late()
        log, frozen = self._log, self._frozen
        if isinstance(frozen, tuple):
            for line in frozen:
                line.write(late)
        else:
            assert log is not None and log.file is not None
            log.file.line(log.format.thaw(frozen, late))
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
