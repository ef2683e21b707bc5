"""What a request of HTTP/2 sees of its connection: everything, but what is its own is its stream's.

Many requests share a connection here. Who changes the connection for the time of a request (`set_real_ip_from`)
changes this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.h2.fields import field, status

if TYPE_CHECKING:
    from penstock.http.proxy_protocol import ProxyHeader
    from penstock.http.request import Request
    from penstock.net.h2.stream import Lane
    from penstock.net.tls.tls import TlsStream
    from penstock.plan.location import Listen, Server
    from penstock.server.connection import Connection


class View:
    """A `ClientConnection`. `stream` is the lane, `requests` the number of this request on the connection."""

    __slots__ = (
        "base",
        "client_address",
        "client_port",
        "listen",
        "peer",
        "requests",
        "service",
        "started",
        "stream",
        "tunnelled",
    )

    def __init__(self, base: Connection, stream: Lane) -> None:
        self.base = base
        self.stream = stream
        self.service = base.service
        self.listen: Listen = base.listen
        self.started = base.started
        self.client_address = base.client_address
        self.client_port = base.client_port
        self.peer: tuple[str, int] | None = None
        self.requests = base.requests
        self.tunnelled = False

    @property
    def number(self) -> int:
        return self.base.number

    @property
    def server(self) -> Server:
        return self.base.server

    @property
    def server_name(self) -> str | None:
        return self.base.server_name

    @property
    def local_address(self) -> str:
        return self.base.local_address

    @property
    def local_port(self) -> int:
        return self.base.local_port

    @property
    def scheme(self) -> str:
        return self.base.scheme

    @property
    def tls(self) -> TlsStream | None:
        return self.base.tls

    @property
    def proxy_protocol(self) -> ProxyHeader | None:
        return self.base.proxy_protocol

    @property
    def last(self) -> bool:
        return self.base.last

    def show_peer(self) -> None:
        """Do what `Connection.show_peer` does."""
        if self.peer is not None:
            self.client_address, self.client_port = self.peer
            self.peer = None

    async def inform(self, request: Request, code: int, headers: list[tuple[str, str]]) -> None:
        """Send an interim answer."""
        self.inform_now(request, code, headers)

    def inform_now(self, request: Request, code: int, headers: list[tuple[str, str]]) -> None:
        """Send an interim answer at once; there is always room for one."""
        block = status(code) + b"".join(field(name.lower(), value) for name, value in headers)
        request.bytes_sent += self.stream.head(block)
