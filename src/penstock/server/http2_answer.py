"""One request of HTTP/2, from its fields to its log line."""

from __future__ import annotations

import os
import traceback
from base64 import b64encode
from typing import TYPE_CHECKING

from penstock.http.errors import BadMessage, BadRequest
from penstock.http.http2_head import Http2Head, as_handshake, request_head
from penstock.http.request import Answer, Request, special
from penstock.http.uri import normalize, split_target
from penstock.modules.http2 import spoken_at
from penstock.modules.http_core import HttpCore
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.h2_lane import CANCEL, INTERNAL_ERROR, PROTOCOL_ERROR
from penstock.observe.errorlog import CRIT, DEBUG, INFO, report
from penstock.server.engine import answer_to, special_answer
from penstock.server.http1 import CLIENT_CLOSED, CLIENT_STALLED, STALLED, finish, refused_head
from penstock.server.http2_body import LaneBody
from penstock.server.http2_send import send_answer

if TYPE_CHECKING:
    from penstock.net.h2_lane import Lane
    from penstock.server.http2 import Serving
    from penstock.server.http2_view import View

MISDIRECTED, NOT_IMPLEMENTED = 421, 501
WEBSOCKET = "websocket"

class Asked:
    """A head as it came: its fields, in `length` bytes; `bodied`: its stream did not end with it."""

    __slots__ = ("bodied", "length", "pairs")

    def __init__(self, pairs: list[tuple[bytes, bytes]], length: int, *, bodied: bool) -> None:
        self.pairs = pairs
        self.length = length
        self.bodied = bodied


async def answer(serving: Serving, view: View, lane: Lane, asked: Asked) -> None:
    """Answer a request. The lane is closed, or a tunnel's, when this returns."""
    code = INTERNAL_ERROR
    try:
        try:
            head = request_head(asked.pairs, serving.options, ended=not asked.bodied, extended=serving.extended)
        except BadRequest as error:
            await _refuse(view, lane, error, asked.length)
            return
        head.length = asked.length
        if head.protocol_ == WEBSOCKET:
            head = as_handshake(head, b64encode(os.urandom(16)).decode("ascii"))
        request = _request(view, head)
        if asked.bodied and head.method != "CONNECT" and not head.protocol_:
            request.body = LaneBody(request, lane, head.content_length)
            if head.expect_continue and not lane.inbox:
                request.expecting = lambda: view.inform_now(request, 100, [])
        code = await _handle(view, lane, request)
    except NetError:
        pass  # the client is gone, and was logged with its request
    finally:
        if not view.tunnelled:
            lane.close(code)


def _request(view: View, head: Http2Head) -> Request:
    """The transaction for a head: its server by name."""
    server, match = view.listen.names.find(head.host)
    request = Request(view, head, server)
    request.host = head.host
    request.captures = match
    if match is not None:
        for name, value in match.groupdict().items():
            request.variables[name] = value or ""
    request.started = view.service.timers.now
    request.request_length = head.length
    return request


async def _handle(view: View, lane: Lane, request: Request) -> int:
    """Answer one request. What to reset the stream with, where it has not been answered wholly."""
    try:
        try:
            made = await _answer(view, lane, request)
        except BadMessage as error:
            report(request, INFO, error.reason)
            made = await special_answer(request, error.status)
        except TimedOut:
            report(request, INFO, f"{CLIENT_STALLED} while reading client request body")
            request.status = STALLED
            return PROTOCOL_ERROR
        if made.upgraded is not None or request.head.protocol_:  # type: ignore[attr-defined]
            from penstock.server.http2_tunnel import instead, open_tunnel

            made = await instead(request, made)
        if made.silent:
            request.status = made.status
        elif made.upgraded is not None:
            await open_tunnel(view, lane, request, made)
        else:
            await send_answer(request, made, lane)
    except PeerGone:
        if not request.status:
            request.status = CLIENT_CLOSED
    except TimedOut:
        report(request, INFO, "client timed out (110: Connection timed out) while sending response to client")
        return CANCEL
    except BadMessage as error:
        report(request, INFO, error.reason)
    except NetError:
        raise
    except Exception as error:
        # The last line of defence: a mistake of ours costs this stream, and says where it was made.
        where = traceback.extract_tb(error.__traceback__)[-1]
        report(request, CRIT, f"internal error: {error!r} at {where.name} line {where.lineno}")
        report(request, DEBUG, "".join(traceback.format_exception(error)).replace("\n", " | "))
        if not request.status:
            await send_answer(request, special(500), lane)
    finally:
        if not view.tunnelled:
            finish(request)
    return INTERNAL_ERROR


async def _answer(view: View, lane: Lane, request: Request) -> Answer:
    head = request.head
    assert isinstance(head, Http2Head)
    if not spoken_at(view.listen, request.server):
        report(request, INFO, "client attempted to request the server name for which HTTP/2 is disabled")
        return await special_answer(request, MISDIRECTED)
    path, request.args = split_target(head.target)
    request.uri = normalize(path, request.server.root[HttpCore].merge_slashes)
    if head.protocol_ and head.protocol_ != WEBSOCKET:
        report(request, INFO, "client asked for a protocol that is not spoken inside of HTTP/2")
        return await special_answer(request, NOT_IMPLEMENTED)
    if head.method == "CONNECT" and not request.server.allow_connect:
        report(request, INFO, "client sent CONNECT method")
        return await special_answer(request, 405)
    if head.method == "TRACE":
        report(request, INFO, "client sent TRACE method")
        return await special_answer(request, 405)
    return await answer_to(request)


async def _refuse(view: View, lane: Lane, error: BadRequest, length: int) -> None:
    """Answer a head that can not be used."""
    request = Request(view, refused_head(error.line), view.server)
    request.uri = request.args = ""
    request.started = view.service.timers.now
    request.request_length = length
    report(request, INFO, f"{error.reason} while processing HTTP/2 connection")
    try:
        made = await special_answer(request, error.status)
        if made.silent:
            request.status = made.status
        else:
            await send_answer(request, made, lane)
    finally:
        request.status = request.status or error.status
        finish(request)
