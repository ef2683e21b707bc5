"""What is kept of a request while its tunnel is open, and what is left to do when that ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from penstock.http.head import RequestHead
from penstock.http.request import NO_PEER, Attempt
from penstock.modules.logs.log import AccessLogs
from penstock.modules.tracing.keys import TRACE
from penstock.net.relay.tunnel import BACKEND_CLOSED, CLIENT_CLOSED, IDLE, SHUTDOWN, End, Tunnel
from penstock.observe.accesslog import FrozenLine
from penstock.observe.errorlog import INFO, WARN, Subject, report
from penstock.server.finish import forget
from penstock.server.tunnel.provenance import Provenance, provenance_of
from penstock.shared.alike import like
from penstock.shared.hints import HINTS
from penstock.upstream.exchange.upgrade import TakenPeer
from penstock.upstream.peers.peers import Peer

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.modules.tracing.tunnel_spans import TunnelSpans
    from penstock.server.connection import Connection
    from penstock.server.h2.request_connection import View
    from penstock.server.service import Service
    from penstock.server.websocket.session import Conversation


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
        "_frozen",
        "_host",
        "_line",
        "_peer",
        "_referer",
        "_tried",
        "_upgraded",
        "_upstream",
        "body_bytes_sent",
        "bytes_sent",
        "client",
        "completed",
        "connected",
        "conversation",
        "endings",
        "finished",
        "number",
        "provenance",
        "request",
        "request_length",
        "spans",
        "started",
        "status",
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

    provenance: Provenance
    """What it has in common with others: the service, the names of server and location, where lines go."""
    endings: list[Callable[[], None]] | None
    number: int
    connected: float
    client: str
    bytes_sent: int
    request_length: int
    started: float
    _frozen: str | tuple[FrozenLine, ...]
    """What is known of the line of the log: a text, or lines where there are several, or none. One that is alone, as
    nearly always, is no object of its own."""
    _line: str | Subject
    """What lines of the error log are about. In slots, it is 64 bytes less than as a tuple."""
    _upstream: str
    _host: str | None
    _referer: str | None
    _tried: Attempt | list[Attempt] | None
    """The attempts: one that is alone, as nearly always, is in no list."""
    _upgraded: TakenPeer | None
    _peer: Peer | None
    """Who has the slot, while nothing but giving it back is to be done; it was the only one that could have it. Then
    there is no `TakenPeer`, and the one attempt counts what was sent."""

    def __init__(
        self, connection: Connection | View, request: Request, upgraded: TakenPeer, server_name: str | None = None
    ) -> None:
        """`server_name` is told where it is none of the configuration."""
        self.request: Request | None = None
        self.spans: TunnelSpans | None = None
        self.conversation: Conversation | None = None
        self.body_bytes_sent = request.body_bytes_sent
        self.status = request.status
        self.completed = False
        self.finished = 0.0
        self._upgraded = upgraded
        self._peer = None
        tried = request.attempts
        self._tried = tried[0] if tried is not None and len(tried) == 1 else tried
        name = request.server.name if server_name is None else server_name
        self.begin(connection, request, provenance_of(connection.service, request.location, name))

    def begin(self, connection: Connection | View, request: Request, provenance: Provenance) -> None:
        """Keep what is needed of a request."""
        self.provenance = provenance
        # Before what ends with the request is taken over: a span that would be made then is another's from now on.
        if request.contexts is not None and TRACE in request.contexts:
            from penstock.modules.tracing.tunnel_spans import TunnelSpans

            self.spans = TunnelSpans.begin(provenance.service, request)
        self.endings = request.endings
        head, freeze = request.head, provenance.freeze
        if freeze is not None:
            self._frozen = freeze(request)
            if not provenance.self_contained:
                self.request = request
        else:
            self._frozen = lines = request.location[AccessLogs].freeze(request)
            for line in lines:
                if not line.self_contained:
                    self.request = request
        if provenance.bare or request.parent is not None:
            self._line = Subject(request)
            self._upstream, self._host, self._referer = "", None, None
        else:
            self._line, self._upstream = head.line, request.upstream_url
            fields = head.fields
            self._host = fields.get("host")
            self._referer = fields.get("referer")
        self.number = connection.number
        self.connected = connection.started
        self.client = connection.client_address
        self.bytes_sent = request.bytes_sent
        self.request_length = request.request_length
        self.started = request.started

    @property
    def service(self) -> Service:
        """Return who has the tunnel."""
        return self.provenance.service

    @property
    def server_name(self) -> str:
        """Return the name of the server that the request was for."""
        return self.provenance.server_name

    @property
    def location_name(self) -> str:
        """Return the name of the location likewise."""
        return self.provenance.location_name

    @property
    def peer(self) -> Peer | None:
        """Return who has the slot; None once it was given back, or where this configuration knows no such peer."""
        return self._peer if self._upgraded is None else self._upgraded.peer

    @property
    def upgraded(self) -> TakenPeer:
        """Return the backend as far as a tunnel needs it, made when somebody asks for it."""
        taken, peer, from_ = self._upgraded, self._peer, self.provenance
        if taken is None:
            attempt = self._tried
            assert peer is not None and isinstance(attempt, Attempt) and from_.group is not None
            hot = from_.service.loop.hot
            taken = TakenPeer(attempt, peer, from_.group, None, hot, attempt.bytes_sent, from_.module)
            self._upgraded, self._peer = taken, None
        return taken

    @upgraded.setter
    def upgraded(self, taken: TakenPeer) -> None:
        self._upgraded, self._peer = taken, None

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
        log, frozen = self.provenance.log, self._frozen
        if isinstance(frozen, tuple):
            return frozen
        assert log is not None and log.file is not None
        return (FrozenLine(log.format, frozen, log.file),)

    @lines.setter
    def lines(self, lines: tuple[FrozenLine, ...]) -> None:
        self._frozen = lines

    @property
    def subject(self) -> Subject:
        """Return what lines of the error log about it are about, likewise."""
        line = self._line
        if isinstance(line, Subject):
            return line
        words = self.client, self.server_name, line, self._upstream, self._host, self._referer
        return Subject.kept(self.provenance.error_log, self.number, words)

    @subject.setter
    def subject(self, subject: Subject) -> None:
        self._line = subject

    def over(self, tunnel: Tunnel, reason: End) -> None:
        """Do what is left to do: the tunnel has ended."""
        from_: Provenance = self.provenance
        service = from_.service
        # `Tunnel.totals`, and `_count`, without the calls.
        from_client: int = tunnel._client  # type: ignore[assignment]
        from_backend: int = tunnel._backend  # type: ignore[assignment]
        if from_.bare:
            self._count(from_client, from_backend)
        else:
            self.body_bytes_sent = body = self.body_bytes_sent + from_backend
            self.bytes_sent += body
        self.completed = reason is not SHUTDOWN
        self.finished = now = service.timers.now
        if self.conversation is not None:
            self.conversation.over(tunnel, reason)
        peer = self._peer
        if peer is not None:
            # `TakenPeer.ended` and `Peer.done_alone`, likewise.
            self._peer = None
            attempt: Attempt = self._tried  # type: ignore[assignment]
            attempt.bytes_sent += from_client
            attempt.bytes_received += from_backend
            attempt.response_time = now - attempt.started
            if type(peer) is Peer:
                peer.active -= 1
                peer.fails = 0
            else:
                peer.done_alone()
        else:
            self.upgraded.ended(from_client, from_backend)
        known = service.lifetimes
        if service.meters is not None or known is None or now - tunnel.opened >= known.youngest or reason is IDLE:
            self._book(tunnel, reason)
        if self.spans is not None:
            self.spans.over(self.status, tunnel, reason.name, self.conversation)
        if (reason is not CLIENT_CLOSED and reason is not BACKEND_CLOSED) or from_.bare:
            self._explain(tunnel, reason)
        late = self if self.request is None else self._late()
        frozen = self._frozen
        if isinstance(frozen, str):
            from_.put(from_.thaw(late, frozen))
        else:
            for line in frozen:
                line.write(late)
        if self.endings is not None:
            for action in self.endings:
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
        if age < known.youngest and reason is not IDLE:
            return
        peer = self.attempts[-1].address if self.attempts else ""
        server, location, idle = self.server_name, self.location_name, tunnel.idle_timeout
        timeout = self._timeout
        words = known.note(server, location, peer, reason.name, age, idle, self.finished, timeout)
        hints = service.plan.shared.get(HINTS)
        said = f"ends {reason.name} {server} {location}"
        if words and (hints is None or hints.may_say(said, self.finished, known.again)):
            report(self.subject, WARN, words)

    @property
    def _timeout(self) -> str:
        """The directive for silence. It is asked for once the backend has been given back, too."""
        taken = self._upgraded
        return f"{self.provenance.module if taken is None else taken.module}_read_timeout"

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
        explain(self.subject, self._timeout, tunnel, reason)


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


_NOBODY: Any = None


def _model() -> Ending:
    made = Ending.__new__(Ending)
    made.request = made.spans = made.conversation = made.endings = None
    made._frozen = made._line = made._upstream = made.client = ""
    made._host = made._referer = made._upgraded = made._peer = made._tried = None
    made.body_bytes_sent = made.bytes_sent = made.request_length = made.number = 0
    made.connected = made.started = made.finished = 0.0
    made.status = 101
    made.completed = False
    made.provenance = _NOBODY
    return made


another_ending = like(_model())
"""Make the ending of a 101 behind which nothing has come; `begin` gives it what is its own, who
makes it the attempt and the peer."""
