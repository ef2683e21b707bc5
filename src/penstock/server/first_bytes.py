"""What comes before the first request of a connection: the PROXY protocol, TLS, and which HTTP it speaks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from penstock.modules.core.http_core import HttpCore
from penstock.modules.http2 import spoken_at
from penstock.net.errors import NetError
from penstock.server.h1.connection import serve

if TYPE_CHECKING:
    from penstock.plan.location import Listen
    from penstock.server.connection import Connection


def begin(connection: Connection) -> Coroutine[object, None, None]:
    """Return what a connection does, from its beginning to its end."""
    return first_of(connection.listen)(connection)


def first_of(listen: Listen) -> Callable[[Connection], Coroutine[object, None, None]]:
    """Return what connections to an address do first."""
    if listen.stream:
        from penstock.server.stream.serve import serve_stream

        return serve_stream
    options = listen.options
    assert listen.default is not None
    if options.ssl and not options.proxy_protocol:
        return begin_securely
    return _begin if options.proxy_protocol or spoken_at(listen, listen.default) else serve


async def begin_securely(connection: Connection, left: float | None = None) -> None:
    """Speak TLS, and then serve requests. `left` seconds of the time for the handshake, where some have passed."""
    await _begin(connection, left)


async def _begin(connection: Connection, left: float | None = None) -> None:
    """The PROXY protocol and TLS, where the address asks for them, and then requests."""
    connection.beginning = True
    try:
        if not await _agree(connection, left):
            return
        http2 = speaks_http2(connection) and (connection.tls is not None or await begins_http2(connection))
    except BaseException:  # it is ended from outside
        connection.stream.close()
        connection.service.gone(connection)
        raise
    connection.beginning = False
    if http2:
        from penstock.server.h2.connection import serve as serve_http2

        await serve_http2(connection)
        return
    await serve(connection)


async def _agree(connection: Connection, left: float | None) -> bool:
    """The PROXY protocol and TLS; False when the connection has ended instead."""
    options = connection.listen.options
    if options.proxy_protocol:
        from penstock.server.proxy_protocol import read_header

        if not await read_header(connection):
            return False
    if options.ssl:
        from penstock.server.tls_handshake import handshake

        return await handshake(connection, left)
    return True


def speaks_http2(connection: Connection) -> bool:
    """Return whether HTTP/2 was agreed on by ALPN, or may be begun without a word on a plain address."""
    tls = connection.tls
    if tls is not None:
        return bool(tls.ssl.selected_alpn_protocol() == "h2")
    return spoken_at(connection.listen, connection.server) and not connection.listen.options.ssl


async def begins_http2(connection: Connection) -> bool:
    """Return whether a client begins with the preface of HTTP/2 (RFC 9113, section 3.4), which is left where it is.

    For it, and for what it begins (the first head), there is `client_header_timeout` once.
    """
    stream, preface = connection.stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    timers = connection.service.timers
    connection.due = due = timers.now + connection.server.root[HttpCore].client_header_timeout
    had = 0
    try:
        while True:
            data = await stream.peek(had, len(preface), max(due - timers.now, 0.001))
            if len(data) <= had or not preface.startswith(data):
                return False
            if len(data) == len(preface):
                return True
            had = len(data)
    except NetError:
        return False  # it is gone, or too slow: the next read finds that out
