"""HTTP/1.1 (and 1.0, and 0.9) with one client: head, answer, and again, until somebody has had enough.

One fiber a connection. Between requests it waits for readiness and owns no buffer.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.http.errors import BadMessage, BadRequest
from penstock.http.head import RequestHead
from penstock.http.request import Answer, Request
from penstock.http.uri import plain_target
from penstock.modules.http_core import HttpCore
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.stream import READ_SIZE
from penstock.observe.errorlog import CRIT, DEBUG, INFO, report
from penstock.plan import phases
from penstock.server.body import ChunkedBody, LengthBody
from penstock.server.engine import answer_to, special_answer
from penstock.server.send import begin_answer, send_answer
from penstock.server.tunnel import open_tunnel

if TYPE_CHECKING:
    from penstock.http.reader import HeadReader
    from penstock.net.stream import Stream
    from penstock.server.connection import Connection

STALLED = 408
CLIENT_CLOSED = 499
CLIENT_STALLED = "client timed out (110: Connection timed out)"
LAST_CHANCE = 0.1
"""Seconds for a request that is on its way already, on a connection that may have one more only."""
UNWANTED = frozenset({"CONNECT", "TRACE"})
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def serve(connection: Connection) -> None:
    """Serve requests until the connection ends. The stream is closed, or has become a tunnel, when this returns."""
    stream = connection.stream
    service = connection.service
    timers = service.timers
    try:
        while True:
            connection.idle = True
            connection.pipelined = stream.ready
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
                    report(connection, INFO, "client timed out (110: Connection timed out) while waiting for request")
                break
            if not data:
                break
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
                await _refuse(connection, stream, error, reader.line)
                break
            if head is None:
                head = await _rest_of_head(connection, stream, reader)
                if head is None:
                    break
            connection.rest = rest = reader.rest
            if rest:
                connection.head_bytes -= len(rest)
            request = request_for(connection, head)
            if not await _handle(connection, stream, request):
                if not connection.tunnelled:
                    await _linger(stream, request)
                break
            # Who waits for the next request keeps nothing of this one, nor of the plan that it went by.
            del data, head, request
    except NetError:
        pass  # the client is gone, and was logged with its request if it had one
    finally:
        if not connection.tunnelled:
            stream.close()
            connection.service.gone(connection)


async def _linger(stream: Stream, request: Request) -> None:
    """End, but not so fast that the answer is lost to a reset (nginx's lingering_close)."""
    core = request.location[HttpCore]
    unread = stream.ready or not request.body.done
    if core.lingering_close == "always" or (core.lingering_close == "on" and unread):
        await stream.lingering_close(core.lingering_time, core.lingering_timeout)
    else:
        stream.shutdown_write()  # a close alone would drop what `send_last` has left, if something is unread by now


async def _rest_of_head(connection: Connection, stream: Stream, reader: HeadReader) -> RequestHead | None:
    """A head of which the first bytes have come; None when there is none. A bad one is answered here."""
    timers = connection.service.timers
    deadline = connection.request_started + connection.server.root[HttpCore].client_header_timeout
    connection.reading = True
    try:
        while True:
            data = await stream.recv(READ_SIZE, max(deadline - timers.now, 0.001))
            if not data:
                _give_up(connection, BadRequest(400, "client prematurely closed connection"), reader.line)
                return None
            connection.head_bytes += len(data)
            head = reader.feed(data)
            if head is not None:
                connection.reading = False
                return head
    except BadRequest as error:
        await _refuse(connection, stream, error, reader.line)
    except TimedOut:
        _give_up(connection, BadRequest(STALLED, CLIENT_STALLED), reader.line)
    return None


def request_for(connection: Connection, head: RequestHead) -> Request:
    """The transaction for a head: its server by name, its path made plain."""
    host = head.host
    names = connection.listen.names
    assert names is not None
    server, match = names.find(host)
    request = Request(connection, head, server)
    request.host = host
    request.captures = match
    if match is not None:
        for name, value in match.groupdict().items():
            request.variables[name] = value or ""
    request.started = connection.request_started
    request.request_length = connection.head_bytes
    request.keep_alive = head.keep_alive
    request.pipelined = connection.pipelined
    return request


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


async def _handle(connection: Connection, stream: Stream, request: Request) -> bool:
    """Answer one request; whether the connection may carry another."""
    answer: Answer | None = None
    try:
        try:
            head = request.head
            request.uri, request.args = plain_target(head.target, request.server.root[HttpCore].merge_slashes)
            rest = connection.rest
            if rest or head.chunked or head.content_length:
                connection.rest = b""
                _body(request, stream, rest)
            if "expect" in head.fields and head.expect_continue and not rest:
                request.expecting = _continue_on(stream)
            if connection.plain_on_tls:
                report(request, INFO, "client sent plain HTTP request to HTTPS port")
                answer = await special_answer(request, 497)
            elif head.method in UNWANTED and (head.method == "TRACE" or not request.server.allow_connect):
                report(request, INFO, f"client sent {head.method} method")
                answer = await special_answer(request, 405)
            else:
                answer = await answer_to(request)
                if type(request.body) is ChunkedBody and not answer.from_upstream:
                    request.body.glance()
        except BadMessage as error:
            report(request, INFO, error.reason)
            answer = await special_answer(request, error.status)
        except TimedOut:
            report(request, INFO, f"{CLIENT_STALLED} while reading client request body")
            request.status = STALLED
            return False
        if answer.silent:
            request.status = answer.status
            request.keep_alive = False
            return False
        if answer.upgraded is not None:
            await open_tunnel(connection, stream, request, answer)
            return False
        if request.expecting is not None and not request.body.done:
            # The body may come all the same (RFC 9110, 10.1.1), and must not be taken for the next request.
            request.keep_alive = False
        if connection.service.draining or connection.last:
            request.keep_alive = False
        unsent = begin_answer(request, answer, stream)
        if unsent is not None:
            await unsent
        if not request.keep_alive:
            return False
        if not request.body.done:
            await request.body.discard()
            if not request.keep_alive:
                return False
        connection.keep_alive_for = request.location[HttpCore].keepalive_timeout[0]
        return True
    except PeerGone as error:
        doing = f": {error} while sending response to client" if request.status else ""
        if not request.status:
            request.status = CLIENT_CLOSED
        if type(error) is PeerGone:  # the others were logged by whoever noticed
            report(request, INFO, f"client prematurely closed connection{doing}")
        return False
    except TimedOut:
        report(request, INFO, "client timed out (110: Connection timed out) while sending response to client")
        if request.location[HttpCore].reset_timedout_connection:
            stream.abort()
        return False
    except BadMessage as error:
        report(request, INFO, error.reason)
        return False
    except Exception as error:
        # The last line of defence: a mistake of ours costs this connection, and says where it was made.
        where = traceback.extract_tb(error.__traceback__)[-1]
        report(request, CRIT, f"internal error: {error!r} at {where.name} line {where.lineno}")
        report(request, DEBUG, "".join(traceback.format_exception(error)).replace("\n", " | "))
        if not request.status:
            await _last_word(request, stream)
        return False
    finally:
        if not connection.tunnelled:
            finish(request)


async def _last_word(request: Request, stream: Stream) -> None:
    """A plain 500 when a module failed before anything was sent."""
    from penstock.http.request import special

    request.keep_alive = False
    try:
        await send_answer(request, special(500), stream)
    except NetError:
        pass  # there is nobody left to tell


def finish(request: Request) -> None:
    """The end of a request: it is timed and logged."""
    request.finished = request.connection.service.timers.now
    for handler, _ in request.location.phases[phases.LOG]:
        handler(request)
    answer = request.answer
    if answer is not None and answer.on_end is not None:
        answer.on_end()
    if request.endings is not None:
        for action in request.endings:
            action()
    if request.connection.peer is not None:
        request.connection.show_peer()


async def _refuse(connection: Connection, stream: Stream, error: BadRequest, line: str) -> None:
    """Answer a head that can not be used. `line` is the request line as far as it came."""
    request = _refused(connection, error, line)
    try:
        answer = await special_answer(request, error.status)
        if answer.silent:
            request.status = answer.status
        else:
            await send_answer(request, answer, stream)
    finally:
        request.status = request.status or error.status
        finish(request)
    await stream.lingering_close(1.0, 1.0)


def _give_up(connection: Connection, error: BadRequest, line: str) -> None:
    """Log a head that never came to its end. Nobody listens: there is no answer."""
    request = _refused(connection, error, line)
    request.status = error.status
    finish(request)


def _refused(connection: Connection, error: BadRequest, line: str) -> Request:
    """The transaction of a head that can not be used, and its line in the error log."""
    request = Request(connection, refused_head(line), connection.server)
    request.uri = request.args = ""
    request.started = connection.request_started
    request.request_length = connection.head_bytes
    report(request, INFO, f"{error.reason} while reading client request headers")
    return request


def refused_head(line: str) -> RequestHead:
    """What stands in for a head that was refused: only its line, for the log."""
    return RequestHead(line, "", "", 11, [], {})
