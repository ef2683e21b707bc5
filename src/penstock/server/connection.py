"""One client connection, whatever it carries: who is there, what it has been asked, how it ends."""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

from penstock.config.regex.regex import MatchFailed
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import ALERT, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.http.proxy_protocol import ProxyHeader
    from penstock.http.reader import HeadReader
    from penstock.http.request import Request
    from penstock.net.dial import Address
    from penstock.net.fiber import Fiber
    from penstock.net.stream import Stream
    from penstock.net.timers import Alarm
    from penstock.net.tls.tls import TlsStream
    from penstock.plan.location import Listen, Server
    from penstock.server.service import Service


INTERIM = {100: "Continue", 103: "Early Hints"}


class Connection:
    """`number` is the serial in the logs, `started` monotonic seconds, `requests` how many heads have been read.

    `client_address` is text; for a unix socket it is "unix:" as in nginx. `idle` says that it waits for a request and
    may be closed at any moment; `reading` that a head has begun to come; `tunnelled` that the relay has its stream.
    `generation` is that of the plan it goes by.
    """

    __slots__ = (
        "_local",
        "abort",
        "alarm",
        "beginning",
        "client_address",
        "client_port",
        "drain",
        "due",
        "fiber",
        "generation",
        "head_bytes",
        "idle",
        "keep_alive_for",
        "last",
        "leaving",
        "listen",
        "number",
        "passes",
        "peer",
        "pipelined",
        "plain_on_tls",
        "proxy_protocol",
        "reader",
        "reading",
        "request_started",
        "requests",
        "rest",
        "scheme",
        "server",
        "server_name",
        "service",
        "since",
        "started",
        "stream",
        "tls",
        "tunnelled",
    )

    straight = False
    """Whether its requests may go straight (`server/straight`)."""

    def __init__(self, service: Service, number: int, stream: Stream, peer: Address | bytes, listen: Listen) -> None:
        self.service = service
        self.number = number
        self.stream = stream
        self.listen = listen
        assert listen.default is not None
        self.server: Server = listen.default
        if isinstance(peer, tuple):
            self.client_address: str = peer[0]
            self.client_port: int = peer[1]
        else:
            self.client_address = "unix:"
            self.client_port = 0
        self.peer: tuple[str, int] | None = None
        """Who is connected, while a request has another address in its place (`set_real_ip_from`)."""
        self.scheme = "http"
        self.tls: TlsStream | None = None
        self.plain_on_tls = False
        self.reading = False
        self.tunnelled = False
        self.server_name: str | None = None
        self.proxy_protocol: ProxyHeader | None = None
        self.requests = 0
        self.request_started = 0.0
        self.head_bytes = 0
        self.rest = b""
        self.pipelined = False
        self.keep_alive_for = 75.0
        self.started = service.timers.now
        self.generation = service.generation
        self.reader: HeadReader | None = None
        self.last = False
        """Whether the request under way, or the next, is the last one: the plan has left this connection behind."""
        self.idle = True
        self.fiber: Fiber[None] | None = None
        self.drain: Callable[[], None] | None = None
        """How a connection that carries several requests at once is told to take no more and to end after the last."""
        self.abort: Callable[[], None] | None = None
        """How such a connection is ended with all that is under way on it, but for tunnels, which say goodbye first."""
        self.beginning = False
        """Whether what comes before requests (the PROXY protocol, TLS) is under way."""
        self.leaving = False
        """Whether all has been said, and it is closed as soon as the client allows."""
        self.since = self.started
        """Since when it is `idle`, or `leaving`."""
        self.due = inf
        """When its first head must have come, where something else has taken of the time for it (monotonic)."""
        self.alarm: Alarm | None = None
        """Its own deadline, while it waits without a fiber."""
        self._local: tuple[str, int] | None = None
        self.passes = 0
        """How often `pass` has led it to another address of ours."""

    def start(self) -> None:
        """Begin with the first request without a fiber, where that is possible."""
        raise NotImplementedError

    def wait(self) -> None:
        """Wait for the next request likewise."""
        raise NotImplementedError

    def abandon(self) -> None:
        """End what is under way without a fiber, its stream having been closed."""

    def show_peer(self) -> None:
        """Show the client's own address again: the request for whose time it had another one has ended."""
        if self.peer is not None:
            self.client_address, self.client_port = self.peer
            self.peer = None

    async def inform(self, request: Request, code: int, headers: list[tuple[str, str]]) -> None:
        """Send an interim answer (RFC 9110, section 15.2) to a client that may have one. Raises what the net floor
        raises."""
        if request.head.version < 11:
            return
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        data = f"HTTP/1.1 {code} {INTERIM[code]}\r\n{lines}\r\n".encode("latin-1")
        await self.stream.send_all(data, timeout=request.location[HttpCore].send_timeout)
        request.bytes_sent += len(data)

    def move_on(self) -> None:
        """Go on, between two requests, by the plan that is in force now. Where that does not serve this address any
        more, or would ask for something at its beginning, the connection is left to end (`last`)."""
        service = self.service
        self.generation = service.generation
        self.reader = None
        if self.last:
            return
        found = service.listen_for(self)
        if found is None or not self._begins_alike(found):
            self.last = True
            return
        assert found.default is not None
        try:
            server = found.names.find(self.server_name)[0] if self.server_name else found.default
        except MatchFailed as error:
            report(self, ALERT, str(error))
            self.last = True
            return
        if found.options.ssl and not (_asks_for_none(self.server) and _asks_for_none(server)):
            # Whom a certificate has let in, by authorities that may have been changed.
            self.last = True
            return
        self.listen, self.server = found, server

    def _begins_alike(self, listen: Listen) -> bool:
        ours, theirs = self.listen.options, listen.options
        return bool(ours.ssl == theirs.ssl and ours.proxy_protocol == theirs.proxy_protocol and not self.plain_on_tls)

    def reached(self, listen: Listen) -> None:
        """Note by which address the client came in, of those that share a socket."""
        assert listen.default is not None
        self.listen = listen
        self.server = listen.default

    @property
    def local_address(self) -> str:
        """Return the address the client reached; asked of the kernel only when somebody wants to know."""
        return self._local_name()[0]

    @property
    def local_port(self) -> int:
        return self._local_name()[1]

    def _local_name(self) -> tuple[str, int]:
        if self._local is None:
            name = self.stream.local_name
            if isinstance(name, tuple):
                self._local = name[0], name[1]
            else:
                self._local = "unix:" + os.fsdecode(name or b""), 0
        return self._local

    def __repr__(self) -> str:
        return f"<connection {self.number} from {self.client_address}>"


def _asks_for_none(server: Server) -> bool:
    from penstock.modules.tls.verify import ClientCertificates

    return server.root[ClientCertificates].verify == "off"
