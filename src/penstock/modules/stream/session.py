"""A session: a connection of a stream, from its first byte to its line in the log.

To modules that serve HTTP and streams alike (`allow`, `limit_conn`, `map`, logs, upstream groups) it is a request that
has no head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.addresses import address_text
from penstock.http.head import RequestHead
from penstock.http.request import Request

if TYPE_CHECKING:
    from penstock.http.client import ClientConnection

NO_HEAD = RequestHead("", "", "", 11, [], {})

DONE, BAD_REQUEST, FORBIDDEN, FAILED, BAD_GATEWAY, UNAVAILABLE = 200, 400, 403, 500, 502, 503
"""What `$status` says of a session, as in nginx."""


class Preread:
    """What is known of the TLS that a client begins: the name it wants, its protocols, and its version in words."""

    __slots__ = ("alpn", "server_name", "version")

    def __init__(self, server_name: str, alpn: str, version: str) -> None:
        self.server_name = server_name
        self.alpn = alpn
        self.version = version


class StreamSession(Request):
    """`received` counts bytes from the client, `preread` is what it was seen to begin with, None where nobody looked or
    nothing was made out."""

    __slots__ = ("preread", "received")

    listens_on = True

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection, NO_HEAD, connection.server)
        self.started = connection.started
        self.received = 0
        self.preread: Preread | None = None

    @property
    def udp(self) -> bool:
        """Return whether it is made of datagrams."""
        return bool(self.connection.listen.options.udp)

    @property
    def log_context(self) -> str:  # type: ignore[override]
        """Return what the error log says behind a message, as nginx has it."""
        connection = self.connection
        kind = "udp " if self.udp else ""
        text = f", {kind}client: {connection.client_address}, server: {address_text(connection.listen.address)}"
        if self.attempts:
            sent, received = self.attempts[-1].bytes_sent, self.attempts[-1].bytes_received
            text += (
                f', upstream: "{self.upstream_url}", bytes from/to client:{self.received}/{self.bytes_sent}, '
                f"bytes from/to upstream:{received}/{sent}"
            )
        return text

    def __repr__(self) -> str:
        return f"<session {self.connection.number}>"
