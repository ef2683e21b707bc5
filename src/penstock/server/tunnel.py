"""A 101 becomes a tunnel: both streams go to the relay, and the request comes back only to be logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.head import RequestHead
from penstock.http.request import NO_BODY
from penstock.modules.http_core import HttpCore
from penstock.modules.log import AccessLogs
from penstock.net.errors import NetError
from penstock.net.relay import End, Tunnel, relay
from penstock.observe.errorlog import INFO, WARN, Subject, report
from penstock.server.head import render_head

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.net.stream import Stream
    from penstock.server.connection import Connection


async def open_tunnel(connection: Connection, stream: Stream, request: Request, answer: Answer) -> None:
    """Send the 101 and let the relay have both streams; the tunnel's end is the request's end."""
    upgraded = answer.upgraded
    core = request.location[HttpCore]
    request.keep_alive = False
    request.answer = answer
    request.status = answer.status
    head = render_head(request, answer, chunked=False)
    try:
        await stream.send_all(head, timeout=core.send_timeout)
    except NetError:
        upgraded.close()
        raise
    request.bytes_sent += len(head)
    if core.tcp_nodelay:
        stream.nodelay()
        upgraded.stream.nodelay()
    ending = Ending(connection, request)
    rest = upgraded.rest
    request.body_bytes_sent = len(rest)
    backend = upgraded.stream
    ending.slim()
    connection.tunnelled = True
    relay(
        stream,
        backend,
        to_client=rest,
        idle_timeout=upgraded.read_timeout,
        send_timeouts=(core.send_timeout, upgraded.send_timeout),
        on_end=ending.ended,
    )


class Ending:
    """What is left to do when a tunnel has ended: count, say why if that is worth a line, log, let the peer go.

    While the tunnel lives this holds what its log line needs and lets the rest of the request go.
    """

    __slots__ = ("connection", "lines", "on_end", "request", "subject", "upgraded")

    def __init__(self, connection: Connection, request: Request) -> None:
        self.connection = connection
        self.request = request
        answer = request.answer
        assert answer is not None
        self.upgraded = answer.upgraded
        self.on_end = answer.on_end
        self.lines = request.location[AccessLogs].freeze(request)
        self.subject = Subject(request)

    def slim(self) -> None:
        """Let go of what the end does not need."""
        request, connection = self.request, self.connection
        request.head = GONE
        request.variables = NOTHING
        request.cached = NOTHING
        request.captures = None
        request.body = NO_BODY
        request.answer = None
        request.upstream_head = None
        request.expecting = None
        self.upgraded.settle()
        connection.stream = None  # type: ignore[assignment]
        connection.fiber = None

    def ended(self, tunnel: Tunnel, reason: End) -> None:
        request, connection = self.request, self.connection
        early = request.body_bytes_sent
        request.body_bytes_sent = early + tunnel.from_backend
        request.bytes_sent += request.body_bytes_sent
        request.completed = reason is not End.SHUTDOWN
        request.finished = connection.service.timers.now
        self.upgraded.ended(tunnel.from_client, tunnel.from_backend)
        _explain(self.subject, tunnel, reason)
        for line in self.lines:
            line.write(request)
        if self.on_end is not None:
            self.on_end()
        connection.service.gone(connection)


GONE = RequestHead("", "", "", 11, [], {})
"""Stands for the head of a request whose tunnel is open."""
NOTHING: dict[str, str | None] = {}


def _explain(subject: Subject, tunnel: Tunnel, reason: End) -> None:
    """One line for an end that nobody asked for."""
    if reason is End.IDLE:
        report(
            subject,
            WARN,
            f"tunnel closed after {tunnel.idle_timeout:g}s in which nothing came from either side "
            "(proxy_read_timeout; let the application send pings, or raise it)",
        )
    elif reason in (End.CLIENT_SEND_TIMEOUT, End.BACKEND_SEND_TIMEOUT):
        report(subject, WARN, f"tunnel closed: {reason.value}")
    elif reason in (End.CLIENT_RESET, End.BACKEND_RESET):
        report(subject, INFO, f"tunnel closed: {reason.value} ({tunnel.errno})")
