"""A 101 becomes a tunnel: both streams go to the relay, and the request comes back only to be logged."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from penstock.http.request import NO_BODY
from penstock.modules.http_core import HttpCore
from penstock.net.errors import NetError
from penstock.net.relay import relay
from penstock.observe.errorlog import INFO, WARN, report
from penstock.server.head import render_head

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.net.relay import Tunnel
    from penstock.net.stream import Stream
    from penstock.server.connection import Connection

ORDINARY = frozenset({"client closed", "backend closed", "shutdown"})


async def open_tunnel(connection: Connection, stream: Stream, request: Request, answer: Answer) -> None:
    """Send the 101 and let the relay have both streams; the tunnel's end is the request's end."""
    upgraded = answer.upgraded
    request.keep_alive = False
    request.answer = answer
    request.status = answer.status
    head = render_head(request, answer, chunked=False)
    try:
        await stream.send_all(head, timeout=request.location[HttpCore].send_timeout)
    except NetError:
        upgraded.stream.close()
        upgraded.release()
        raise
    core = request.location[HttpCore]
    if core.tcp_nodelay:
        for each in (stream, upgraded.stream):
            no_delay(each.sock)
    request.bytes_sent += len(head)
    ending = Ending(connection, request, upgraded)
    request.tunnel = relay(
        stream,
        upgraded.stream,
        to_client=upgraded.rest,
        to_backend=stream.take_unread(),
        idle_timeout=upgraded.read_timeout,
        client_timeout=core.send_timeout,
        backend_timeout=upgraded.send_timeout,
        on_end=ending.ended,
    )
    ending.slim()


def no_delay(sock: socket.socket) -> None:
    """TCP_NODELAY; a unix socket has no such thing."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
