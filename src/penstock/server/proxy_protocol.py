"""The PROXY protocol's header, which comes before anything else, TLS included (`listen ... proxy_protocol`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.proxy_protocol import LONGEST, BadProxyHeader, parse_proxy_header
from penstock.modules.http_core import HttpCore
from penstock.net.errors import NetError, TimedOut
from penstock.observe.errorlog import ERROR, INFO, report

if TYPE_CHECKING:
    from penstock.server.connection import Connection

WHILE = "while reading PROXY protocol"


async def read_header(connection: Connection) -> bool:
    """Read the header into `connection.proxy_protocol`; False when the connection has ended instead.

    What follows the header stays in the socket, for TLS to find its hello there.
    """
    try:
        if await _read(connection):
            return True
    except BadProxyHeader as error:
        report(connection, ERROR, f"{error} {WHILE}")
    except TimedOut:
        report(connection, INFO, f"client timed out (110: Connection timed out) {WHILE}")
    except NetError as error:
        report(connection, INFO, f"{error} {WHILE}")
    connection.stream.close()
    connection.service.gone(connection)
    return False


async def _read(connection: Connection) -> bool:
    stream, timers = connection.stream, connection.service.timers
    deadline = timers.now + connection.server.root[HttpCore].client_header_timeout
    had = 0
    while True:
        data = await stream.peek(had, LONGEST, max(deadline - timers.now, 0.001))
        if len(data) <= had:
            report(connection, INFO, f"client closed connection {WHILE}")
            return False
        parsed = parse_proxy_header(data)
        if parsed is not None:
            connection.proxy_protocol, length = parsed
            await stream.recv(length)
            stream.ready = True
            return True
        had = len(data)
