"""A 101, or the 200 to a CONNECT, becomes a tunnel: both streams go to the relay, and only the log line is left."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from penstock.modules.core.http_core import HttpCore
from penstock.modules.websocket.terms import Conversations
from penstock.net.errors import NetError
from penstock.net.relay.relay import relay
from penstock.server.finish import let_go_of_body, release
from penstock.server.head import render_head
from penstock.server.tunnel.ending import Ending

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.http.response import ResponseHead
    from penstock.net.stream import Stream
    from penstock.net.timers import Alarm
    from penstock.server.connection import Connection
    from penstock.server.h2.request_connection import View
    from penstock.server.service import Service
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


def count_opened(service: Service, request: Request, ending: Ending) -> None:
    """Count a tunnel that opens, if anybody asks."""
    if service.meters is not None:
        service.meters.opened(service.timers.now - request.started)
        service.meters.tried(request.server.name, request.attempts, ending.status)


def _join(
    connection: Connection | View,
    stream: Stream,
    request: Request,
    upgraded: Upgrade,
    ending: Ending,
    core: HttpCore,
    *,
    alarm: Alarm | None = None,
    talk: Conversation | None = None,
) -> None:
    """Count a tunnel, and let the relay have both its streams."""
    backend, rest = upgraded.stream, upgraded.rest
    assert backend is not None, "a tunnel is opened once"
    count_opened(connection.service, request, ending)
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
        watch=None if talk is None else talk.attach,
        steps=talk is not None and talk.steps,
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
    _join(connection, stream, request, upgraded, ending, core, talk=talk)
    request.no_longer(upgraded)
    release(request)
    let_go_of_body(request)
