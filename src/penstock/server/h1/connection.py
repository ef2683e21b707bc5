"""HTTP/1.1 (and 1.0, and 0.9) with one client: head, answer, and again, until somebody has had enough.

One fiber a connection. Between requests it waits for readiness and owns no buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from penstock.http.errors import BadRequest
from penstock.http.head import RequestHead
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.core.http_core import HttpCore
from penstock.net.errors import NetError, TimedOut
from penstock.net.stream import READ_SIZE, Stream
from penstock.observe.errorlog import INFO, report
from penstock.server.h1.body import ChunkedBody, LengthBody
from penstock.server.h1.send import begin_answer
from penstock.server.transaction import CLIENT_STALLED, STALLED, give_up, new_request, refused_request, run
from penstock.server.tunnel.tunnel import begin_tunnel

if TYPE_CHECKING:
    from penstock.http.reader import HeadReader
    from penstock.server.connection import Connection

LAST_CHANCE = 0.1
"""Seconds for a request that is on its way already, on a connection that may have one more only."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
READING_HEAD = "while reading client request headers"


async def serve(
    connection: Connection,
    head: RequestHead | None = None,
    request: Request | None = None,
    begun: Coroutine[Any, Any, Outcome] | None = None,
) -> None:
    """Serve requests until the connection ends. The stream is closed, or has become a tunnel, when this returns; or the
    connection goes on without a fiber (`server/straight`), where it came from with a `head` that has been read, or with
    a `request` and what has `begun` of it."""
    stream = connection.stream
    timers = connection.service.timers
    carrier = Http1Carrier(connection, stream)
    resting = False
    try:
        while True:
            if request is None and head is None:
                if connection.straight and not stream.ready:
                    resting = True
                    connection.wait()
                    return
                head = await _next_head(carrier)
                if head is None:
                    break
            if request is None:
                assert head is not None
                try:
                    request = new_request(connection, head, connection.request_started, connection.head_bytes)
                except BadRequest as error:
                    await _refuse(carrier, error, error.line)
                    break
                request.pipelined = connection.pipelined
            await run(request, carrier, begun=begun)
            if not request.keep_alive:
                if not connection.tunnelled:
                    connection.leaving = True
                    connection.since = timers.now
                    await _linger(stream, request)
                break
            connection.keep_alive_for = request.location[HttpCore].keepalive_timeout[0]
            # Who waits for the next request keeps nothing of this one, nor of the plan that it went by.
            head = request = begun = None
    except NetError:
        pass  # the client is gone, and was logged with its request if it had one
    finally:
        if not connection.tunnelled and not resting:
            stream.close()
            connection.service.gone(connection)


async def _next_head(carrier: Http1Carrier) -> RequestHead | None:
    """Wait for the next request, and read its head; None where the connection ends instead. A bad one is answered here.
    """
    connection, stream = carrier.connection, carrier.stream
    service = connection.service
    timers = service.timers
    connection.idle = True
    connection.since = timers.now
    # A first request may be there with its connection: it follows nobody.
    connection.pipelined = stream.ready and connection.requests > 0
    if connection.generation != service.generation:
        connection.move_on()
    if connection.requests:
        patience = connection.keep_alive_for
    else:
        patience = connection.server.root[HttpCore].client_header_timeout
    if connection.last:
        patience = min(patience, LAST_CHANCE)
    try:
        data = await stream.recv(READ_SIZE, patience)
    except TimedOut:
        if not connection.requests:
            report(connection, INFO, f"{CLIENT_STALLED} while waiting for request")
        return None
    if not data:
        return None
    connection.idle = False
    connection.requests += 1
    connection.request_started = timers.now
    connection.head_bytes = len(data)
    # The plan may have been replaced while nothing came.
    reader = connection.reader
    if reader is None:
        reader = connection.reader = service.head_reader(connection.server)
    # Nearly always the whole head has come.
    try:
        head = reader.feed(data)
    except BadRequest as error:
        await _refuse(carrier, error, reader.line)
        return None
    if head is None:
        head = await _rest_of_head(carrier, reader)
        if head is None:
            return None
    connection.rest = rest = reader.rest
    if rest:
        connection.head_bytes -= len(rest)
    return head


async def end_politely(connection: Connection, request: Request) -> None:
    """End a connection whose last answer has been sent."""
    connection.leaving = True
    connection.since = connection.service.timers.now
    try:
        await _linger(connection.stream, request)
    except NetError:
        pass
    finally:
        connection.stream.close()
        connection.service.gone(connection)


async def _linger(stream: Stream, request: Request) -> None:
    """End, but not so fast that the answer is lost to a reset (nginx's lingering_close)."""
    core = request.location[HttpCore]
    unread = stream.ready or not request.body.done
    if core.lingering_close == "always" or (core.lingering_close == "on" and unread):
        await stream.lingering_close(core.lingering_time, core.lingering_timeout)
    else:
        stream.shutdown_write()  # a close alone would drop what `send_last` has left, if something is unread by now


async def _rest_of_head(carrier: Http1Carrier, reader: HeadReader) -> RequestHead | None:
    """Wait for the rest of a head whose first bytes have come; None when there is none. A bad one is answered here."""
    connection, stream = carrier.connection, carrier.stream
    timers = connection.service.timers
    deadline = connection.request_started + connection.server.root[HttpCore].client_header_timeout
    if connection.requests == 1:
        deadline = min(deadline, connection.due)
    connection.reading = True
    try:
        while True:
            data = await stream.recv(READ_SIZE, max(deadline - timers.now, 0.001))
            if not data:
                _give_up(carrier, 400, "client prematurely closed connection", reader.line)
                return None
            connection.head_bytes += len(data)
            head = reader.feed(data)
            if head is not None:
                connection.reading = False
                return head
    except BadRequest as error:
        await _refuse(carrier, error, reader.line)
    except TimedOut:
        request = _give_up(carrier, STALLED, CLIENT_STALLED, reader.line)
        carrier.stalled(request, sending=False)
    return None


class Http1Carrier:
    """What the requests of one connection ask of it (`server.transaction.Carrier`)."""

    __slots__ = ("connection", "stream")

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self.connection = connection
        self.stream = stream

    def prepare(self, request: Request) -> int:
        """Give the request its body, and a client that waits for it its 100."""
        connection, head = self.connection, request.head
        rest = connection.rest
        if rest or head.chunked or head.content_length:
            connection.rest = b""
            _body(request, self.stream, rest)
        if "expect" in head.fields and head.expect_continue and not rest:
            request.expecting = _continue_on(self.stream)
        if connection.plain_on_tls:
            self.say_why(request, "client sent plain HTTP request to HTTPS port")
            return 497
        return 0

    def glance(self, request: Request) -> None:
        """Look at the chunks that came with the head."""
        if type(request.body) is ChunkedBody:
            request.body.glance()

    def send(self, request: Request, answer: Answer) -> Coroutine[Any, Any, None] | None:
        """Send an answer, or open a tunnel."""
        connection = self.connection
        if answer.upgraded is not None:
            return begin_tunnel(connection, self.stream, request, answer)
        if request.expecting is not None and not request.body.done:
            # The body may come all the same (RFC 9110, 10.1.1), and must not be taken for the next request.
            request.keep_alive = False
        if connection.service.draining or connection.last:
            request.keep_alive = False
        return begin_answer(request, answer, self.stream)

    def say_why(self, request: Request, reason: str) -> None:
        """Log the reason."""
        report(request, INFO, reason)

    def closed_what(self) -> str:
        """Return "connection": a client of HTTP/1 can only close all."""
        return "connection"

    def stalled(self, request: Request, *, sending: bool) -> None:
        """Reset the connection if `reset_timedout_connection` asks for it."""
        if request.location[HttpCore].reset_timedout_connection:
            self.stream.abort()

    def silenced(self, request: Request) -> None:
        """Reset it likewise, as in nginx."""
        self.stalled(request, sending=False)


def _body(request: Request, stream: Stream, rest: bytes) -> None:
    """Give the request its body, whose first bytes may have come with the head; what follows it goes back."""
    head = request.head
    if head.chunked:
        request.body = ChunkedBody(request, stream, rest)
    elif head.content_length:
        request.body = LengthBody(request, stream, head.content_length, rest)
    elif rest:
        stream.unread(rest)


def _continue_on(stream: Stream) -> Callable[[], None]:
    def go_on() -> None:
        stream.send_now(CONTINUE)

    return go_on


async def _refuse(carrier: Http1Carrier, error: BadRequest, line: str) -> None:
    """Answer a head that can not be used. `line` is the request line as far as it came."""
    await run(_refused(carrier, line), carrier, BadRequest(error.status, f"{error.reason} {READING_HEAD}"))
    if not carrier.stream.closed:
        await carrier.stream.lingering_close(1.0, 1.0)


def _give_up(carrier: Http1Carrier, status: int, reason: str, line: str) -> Request:
    """Log a head that never came to its end. Nobody listens: there is no answer."""
    request = _refused(carrier, line)
    give_up(request, BadRequest(status, f"{reason} {READING_HEAD}"), carrier)
    return request


def _refused(carrier: Http1Carrier, line: str) -> Request:
    connection = carrier.connection
    return refused_request(connection, line, connection.request_started, connection.head_bytes)
