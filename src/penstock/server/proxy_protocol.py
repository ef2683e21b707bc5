"""The PROXY protocol's header, which comes before anything else, TLS included (`listen ... proxy_protocol`)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from penstock.http.proxy_protocol import LONGEST, BadProxyHeader, needed, parse_proxy_header
from penstock.modules.core.http_core import HttpCore
from penstock.net.errors import NetError, TimedOut
from penstock.observe.errorlog import ERROR, INFO, report

if TYPE_CHECKING:
    from penstock.server.connection import Connection

WHILE = "while reading PROXY protocol"


async def read_header(connection: Connection) -> bool:
    """Read the header into `connection.proxy_protocol`; False when the connection has ended instead.

    What follows the header stays in the socket, for TLS to find its hello there.
    """
    if await take_header(connection, connection.server.root[HttpCore].client_header_timeout) is HeaderEnd.READ:
        return True
    connection.stream.close()
    connection.service.gone(connection)
    return False


class HeaderEnd(Enum):
    """What came of reading a header."""

    READ = "read"
    BROKEN = "what came is no header"
    CLOSED = "the client has closed before the end of one"
    GONE = "the client was reset, or was too slow"


async def take_header(connection: Connection, timeout: float) -> HeaderEnd:
    """Read the header within `timeout` seconds; what is wrong is in the log."""
    try:
        return HeaderEnd.READ if await _read(connection, timeout) else HeaderEnd.CLOSED
    except BadProxyHeader as error:
        report(connection, ERROR, f"{error} {WHILE}")
        return HeaderEnd.BROKEN
    except TimedOut:
        report(connection, INFO, f"client timed out (110: Connection timed out) {WHILE}")
    except NetError as error:
        report(connection, INFO, f"{error} {WHILE}")
    return HeaderEnd.GONE


async def _read(connection: Connection, timeout: float) -> bool:
    stream, timers = connection.stream, connection.service.timers
    deadline = timers.now + timeout
    need = 1
    while True:
        data = await stream.peek(need - 1, LONGEST, max(deadline - timers.now, 0.001))
        if len(data) < need:
            report(connection, INFO, f"client closed connection {WHILE}")
            return False
        parsed = parse_proxy_header(data)
        if parsed is not None:
            connection.proxy_protocol, length = parsed
            await stream.recv(length)
            stream.ready = True
            return True
        need = needed(data)
