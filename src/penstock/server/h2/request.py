"""One request of HTTP/2, from its fields to its end."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from penstock.http.errors import BadRequest
from penstock.http.h2.request_head import Http2Head, as_handshake
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.core.http_core import HttpCore
from penstock.modules.http2 import spoken_at
from penstock.net.h2.stream import CANCEL, INTERNAL_ERROR, PROTOCOL_ERROR
from penstock.observe.errorlog import INFO, report
from penstock.server.h2.body import LaneBody
from penstock.server.h2.send import send_answer
from penstock.server.transaction import new_request, refused_request, run

if TYPE_CHECKING:
    from penstock.server.h2.request_connection import View

MISDIRECTED, NOT_IMPLEMENTED = 421, 501
WEBSOCKET = "websocket"


async def answer(
    view: View,
    head: Http2Head | None,
    refused: BadRequest | None = None,
    request: Request | None = None,
    begun: Coroutine[Any, Any, Outcome] | None = None,
) -> None:
    """Answer a request: one with a `head`; one whose head was `refused`; or a `request` of which something has `begun`
    on the straight way. The lane is closed, or a tunnel's, when this returns."""
    carrier = Http2Carrier(view)
    try:
        started, length = view.request_started, view.head_bytes
        if request is None and head is not None:
            try:
                if head.protocol_ == WEBSOCKET:
                    head = as_handshake(head, b64encode(os.urandom(16)).decode("ascii"))
                request = new_request(view, head, started, length)
            except BadRequest as error:
                refused = error
        if request is None:
            assert refused is not None
            request = refused_request(view, refused.line, started, length, method=refused.method)
            refused = BadRequest(refused.status, f"{refused.reason} while processing HTTP/2 connection")
        await run(request, carrier, refused, begun)
    finally:
        if not view.tunnelled:
            view.stream.close(carrier.code)


class Http2Carrier:
    """What a request asks of its stream (`server.transaction.Carrier`). `code` is what the stream is reset with, where
    it has not been answered wholly."""

    __slots__ = ("code", "lane", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.lane = view.stream
        self.code = INTERNAL_ERROR

    def prepare(self, request: Request) -> int:
        """Give the request its body, and refuse what belongs to another connection or another protocol."""
        head, view, lane = request.head, self.view, self.lane
        assert isinstance(head, Http2Head)
        if view.bodied and head.method != "CONNECT" and not head.protocol_:
            request.body = LaneBody(request, lane, head.content_length)
            if head.expect_continue and not lane.inbox:
                request.expecting = lambda: view.inform_now(request, 100, [])
        if not spoken_at(view.listen, request.server):
            self.say_why(request, "client attempted to request the server name for which HTTP/2 is disabled")
            return MISDIRECTED
        if head.protocol_ and head.protocol_ != WEBSOCKET:
            self.say_why(request, "client asked for a protocol that is not spoken inside of HTTP/2")
            return NOT_IMPLEMENTED
        return 0

    def glance(self, request: Request) -> None:
        """Do nothing: a stream whose rest nobody wants is closed."""

    async def send(self, request: Request, answer: Answer) -> None:
        """Send an answer, or open a tunnel."""
        if answer.upgraded is not None or (isinstance(request.head, Http2Head) and request.head.protocol_):
            from penstock.server.h2.tunnel import instead, open_tunnel

            answer = await instead(request, answer)
            if answer.silent:
                request.status = answer.status
                return
            if answer.upgraded is not None:
                await open_tunnel(self.view, self.lane, request, answer)
                return
        await send_answer(request, answer, self.lane)

    def say_why(self, request: Request, reason: str) -> None:
        """Log the reason."""
        report(request, INFO, reason)

    def closed_what(self) -> str:
        """Return what the client closed: it may give up one request ("stream"), or all of them ("connection")."""
        return "stream" if self.lane.half.closed else "connection"

    def stalled(self, request: Request, *, sending: bool) -> None:
        """End the stream. Where an answer has found no room, and nobody else waits for any, the connection is over."""
        self.code = CANCEL if sending else PROTOCOL_ERROR
        if sending:
            self.view.serving.stalled(reset=request.location[HttpCore].reset_timedout_connection)

    def silenced(self, request: Request) -> None:
        """Do nothing: the stream is reset."""
