"""What a request of HTTP/2 sees of its connection: everything, but what is its own is its stream's.

Many requests share a connection here. Who changes the connection for the time of a request (`set_real_ip_from`)
changes this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.http.h2_fields import field, status

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.net.h2_lane import Lane
    from penstock.server.connection import Connection


class View:
    """Stands for a `Connection`. `stream` is the lane, `requests` the number of this request on the connection."""

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
        self.listen: Any = base.listen
        self.started = base.started
        self.client_address = base.client_address
        self.client_port = base.client_port
        self.peer: tuple[str, int] | None = None
        self.requests = base.requests
        self.tunnelled = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)

    def show_peer(self) -> None:
        """As `Connection.show_peer`."""
        if self.peer is not None:
            self.client_address, self.client_port = self.peer
            self.peer = None

    async def inform(self, request: Request, code: int, headers: list[tuple[str, str]]) -> None:
        """Send an interim answer."""
        self.inform_now(request, code, headers)

    def inform_now(self, request: Request, code: int, headers: list[tuple[str, str]]) -> None:
        """Likewise; there is always room for one."""
        block = status(code) + b"".join(field(name.lower(), value) for name, value in headers)
        request.bytes_sent += self.stream.head(block)
