"""Who asks when nobody does: what variables find where the client of a check would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.http.client import ClientService


class NobodyAsks(LookupError):
    """Raised where a variable asks for what only a client has."""


class _NoStream:
    """The bytes of nobody."""

    __slots__ = ("on_hangup",)

    def __init__(self) -> None:
        self.on_hangup = None


class CheckClient:
    """A connection without a client. Most variables are empty for a check, as in nginx; the client's address is that of
    this machine to itself, since backends may insist on one."""

    __slots__ = ("client_address", "client_port", "peer")

    tls = None
    proxy_protocol = None
    server_name = None
    number = 0
    local_address = ""
    local_port = 0
    scheme = "http"
    stream: Any = _NoStream()

    def __init__(self) -> None:
        self.client_address = "127.0.0.1"
        self.client_port = 0
        self.peer: tuple[str, int] | None = None

    @property
    def service(self) -> ClientService:
        raise NobodyAsks("a check is served by nobody")

    @property
    def requests(self) -> int:
        raise NobodyAsks("a check is no client's request")

    @property
    def started(self) -> float:
        raise NobodyAsks("a check has no client's connection")

    @property
    def listen(self) -> Any:
        raise NobodyAsks("a check came by no address")

    @property
    def server(self) -> Any:
        raise NobodyAsks("a check came by no server")
