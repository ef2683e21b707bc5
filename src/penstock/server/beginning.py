"""What comes before the first request of a connection: the PROXY protocol, TLS, and which HTTP it speaks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from penstock.modules.http2 import spoken_at
from penstock.modules.http_core import HttpCore
from penstock.net.errors import NetError
from penstock.server.http1 import serve

if TYPE_CHECKING:
    from penstock.plan.location import Listen
    from penstock.server.connection import Connection


def begin(connection: Connection) -> Coroutine[Any, Any, None]:
    """What a connection does, from its beginning to its end."""
    return first_of(connection.listen)(connection)


def first_of(listen: Listen) -> Callable[[Connection], Coroutine[Any, Any, None]]:
    """What connections to an address do first."""
    options = listen.options
    assert listen.default is not None
    return _begin if options.ssl or options.proxy_protocol or spoken_at(listen, listen.default) else serve


async def _begin(connection: Connection) -> None:
    """The PROXY protocol and TLS, where the address asks for them, and then requests."""
    options = connection.listen.options
    if options.proxy_protocol:
        from penstock.server.proxy_protocol import read_header

        if not await read_header(connection):
            return
    if options.ssl:
        from penstock.server.secure import handshake

        if not await handshake(connection):
            return
    if speaks_http2(connection) and (connection.tls is not None or await begins_http2(connection)):
        from penstock.server.http2 import serve as serve_http2

        await serve_http2(connection)
        return
    await serve(connection)


def speaks_http2(connection: Connection) -> bool:
    """Whether HTTP/2 was agreed on by ALPN, or may be begun without a word on a plain address."""
    tls = connection.tls
    if tls is not None:
        return bool(tls.ssl.selected_alpn_protocol() == "h2")
    return spoken_at(connection.listen, connection.server) and not connection.listen.options.ssl


async def begins_http2(connection: Connection) -> bool:
    """Whether a client begins with the preface of HTTP/2 (RFC 9113, section 3.4), which is left where it is."""
    stream, preface = connection.stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    had = 0
    try:
        while True:
            data = await stream.peek(had, len(preface), connection.server.root[HttpCore].client_header_timeout)
            if len(data) <= had or not preface.startswith(data):
                return False
            if len(data) == len(preface):
                return True
            had = len(data)
    except NetError:
        return False  # it is gone, or too slow: the next read finds that out
