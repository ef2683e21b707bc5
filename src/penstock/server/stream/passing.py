"""`pass`: a connection goes on as one that came in at another address of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.core.server_blocks import sockaddr
from penstock.net.fiber import spawn
from penstock.observe.errorlog import ERROR, report
from penstock.server.connection import Connection
from penstock.server.first_bytes import begin

if TYPE_CHECKING:
    from penstock.config.addresses import Address
    from penstock.modules.stream.session import StreamSession

MOST_PASSES = 10
"""How often one connection may be passed on, as in nginx."""


def pass_on(connection: Connection, address: Address, session: StreamSession) -> bool:
    """Let a connection go on at another address; tell whether that is one of ours. If not, that is in the log."""
    service = connection.service
    listen = service.listen_at(sockaddr(address))
    connection.passes += 1
    what = ""
    if listen is None:
        what = f'port not found for "{address}"'
    elif connection.passes > MOST_PASSES:
        what = "stream pass cycle"
    elif connection.tls is not None and (listen.options.ssl or listen.options.proxy_protocol):
        what = f'TLS has been ended, and begins again at "{address}"'
    if what or listen is None:
        report(session, ERROR, f"{what} while passing connection to port")
        return False
    service.serial += 1
    client = (connection.client_address, connection.client_port)
    other = Connection(service, service.serial, connection.stream, client, listen)
    other.passes, other.tls, other.server_name = connection.passes, connection.tls, connection.server_name
    other.proxy_protocol = connection.proxy_protocol
    other.scheme = "https" if other.tls is not None else "http"
    connection.tunnelled = True
    service.gone(connection)
    service.connections.add(other)
    for action in session.endings or ():
        action()
    other.fiber = spawn(begin(other))
    return True
