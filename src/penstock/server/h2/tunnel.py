"""A stream that becomes a tunnel: an extended CONNECT for a WebSocket (RFC 8441), or a CONNECT (RFC 9113 section 8.5).

For the backend a WebSocket of HTTP/2 is one of HTTP/1.1: it has been sent a handshake with a key, the client's or one
of ours (`http.http2_head.as_handshake`), and its 101 is held against that key here. A client that sent a key gets what
answers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.h2.fields import HOP_BY_HOP
from penstock.http.h2.request_head import Http2Head
from penstock.http.request import Answer, Request
from penstock.modules.core.http_core import HttpCore
from penstock.modules.websocket.websocket import WebSocket
from penstock.net.errors import NetError
from penstock.net.h2.stream import CANCEL, CONNECT_ERROR
from penstock.observe.errorlog import ERROR, report
from penstock.server.engine import special_answer
from penstock.server.finish import release
from penstock.server.h2.send import head_block
from penstock.server.tunnel.tunnel import hand_over
from penstock.websocket.handshake import accept_key

if TYPE_CHECKING:
    from penstock.net.h2.stream import Lane
    from penstock.server.h2.request_connection import View

WINDOW = 65536
BAD_GATEWAY, NOT_IMPLEMENTED = 502, 501


async def instead(request: Request, made: Answer) -> Answer:
    """Return the answer to what asked for a tunnel: itself, or another one where the client would take it for one."""
    head = request.head
    assert isinstance(head, Http2Head)
    why = ""
    status = BAD_GATEWAY
    if made.status == 101 and made.upgraded is None and head.protocol_:
        return _opened(made, head)
    if made.upgraded is not None:
        if request.method != "CONNECT" and not head.protocol_:
            why = "upstream switched protocols for a client of HTTP/2 that has not asked for it"
        elif head.protocol_ and not _answers(request):
            why = 'upstream sent a "Sec-WebSocket-Accept" header that does not answer the key'
    elif head.protocol_ and 200 <= made.status < 300:
        if made.from_upstream:
            why = f"upstream answered a WebSocket handshake with {made.status}"
        else:
            why, status = "there is no WebSocket here", NOT_IMPLEMENTED
    if not why:
        return made
    report(request, ERROR, why)
    release(request)
    other = await special_answer(request, status)
    if 200 <= other.status < 300:
        other.status = status
    return other


def _opened(made: Answer, head: Http2Head) -> Answer:
    """Make of our own 101, which has all that will be said as its body, the 200 that it is here."""
    made.status = 200
    made.length = None
    made.headers = [pair for pair in made.headers if pair[0].lower() not in HOP_BY_HOP | {"sec-websocket-accept"}]
    if head.accept:
        made.headers.append(("sec-websocket-accept", head.accept))
    return made


def _answers(request: Request) -> bool:
    """Whether the 101 is an answer to the handshake that was sent."""
    wish = request.location[WebSocket].wish
    if wish is not None and wish.lenient:
        return True
    answered = request.upstream_head
    key = request.head.fields["sec-websocket-key"]
    return answered is not None and (answered.joined("sec-websocket-accept") or "").strip() == accept_key(key)


async def open_tunnel(view: View, lane: Lane, request: Request, answer: Answer) -> None:
    """Send the head, and let the relay have the stream."""
    connect = request.method == "CONNECT"
    answer.status = request.status = 200
    request.answer = answer
    answer.length = answer.content_type = None
    answer.headers = [
        pair for pair in answer.headers if pair[0].lower() not in HOP_BY_HOP and pair[0].lower() not in _OF_HTTP1
    ]
    head = request.head
    assert isinstance(head, Http2Head)
    if head.accept:
        answer.headers.append(("sec-websocket-accept", head.accept))
    try:
        lane.head(head_block(request, answer))
    except NetError:
        if answer.upgraded is not None:
            answer.upgraded.close()
        raise
    request.bytes_sent = lane.wire_sent
    lane.window = max(lane.window, WINDOW)
    lane.chunk = 16384
    lane.code = CONNECT_ERROR if connect else CANCEL
    lane.on_hangup = None
    core = request.location[HttpCore]
    hand_over(view, lane, request, answer, core)  # type: ignore[arg-type]


_OF_HTTP1 = frozenset(("content-length", "sec-websocket-accept"))
