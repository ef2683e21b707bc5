"""The handshake of a WebSocket, kept so that it can be sent again to another backend.

It is what the client has sent, as one piece of text, and where it led; a request is made of that when it is needed. So
an idle tunnel costs little more than its handshake has bytes (experiments/tunnels.md).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from penstock.http.fields import first_values
from penstock.http.head import RequestHead
from penstock.http.host import split_host
from penstock.http.request import Attempt, Request
from penstock.modules.proxy.proxy import Proxy
from penstock.modules.proxy.redial import exchange_again
from penstock.modules.websocket.redial import NOTE, RedialNote
from penstock.modules.websocket.websocket import WebSocket, answered_wrong
from penstock.net.errors import NetError
from penstock.server.finish import forget, release
from penstock.shared.json_fields import Fields, Strange
from penstock.upstream.errors import ProxyError
from penstock.upstream.exchange.nobody import Nobody
from penstock.upstream.exchange.upgrade import Parts, Upgrade

if TYPE_CHECKING:
    from penstock.http.client import ClientConnection, ClientStream, TlsOfClient
    from penstock.http.response import ResponseHead
    from penstock.net.loop import Loop
    from penstock.plan.location import Listen
    from penstock.plan.plan import Plan
    from penstock.server.service import Service

SURE = frozenset((408, 425, 429))
"""Statuses of a client's fault that another try may change."""

ID = "request_id"
ID_SIZE = 16
NO_ID = "00" * ID_SIZE


class NotDialled(Exception):
    """Raised where a handshake was not answered as the first one was. `final`: another try would not help."""

    expected = True

    def __init__(self, words: str, *, final: bool = False) -> None:
        super().__init__(words)
        self.final = final


class KeptHandshake:
    """A `ClientConnection` of the request that is made, and all that it is made of. `protocol` is the subprotocol that
    was agreed on."""

    __slots__ = (
        *("_args", "_head", "_host", "_line", "_reached", "_uri", "captures", "client_address", "client_port"),
        *("listen", "location", "number", "peer", "protocol", "proxy_protocol"),
        *("requests", "scheme", "server", "server_name", "service", "started", "stream", "tls", "variables"),
    )

    stream: ClientStream
    last = True
    tunnelled = False

    def __init__(self, connection: ClientConnection, request: Request, protocol: str | None) -> None:
        head = request.head
        asked = f"{head.method} {head.target}"
        variables = request.variables
        # One piece of bytes has less around it than two.
        self._head = bytes.fromhex(variables.get(ID) or NO_ID) + "\n".join(
            [asked, *(f"{name}: {value}" for name, value in head.headers)]
        ).encode("latin-1")
        self._line = None if head.line == f"{asked} HTTP/1.1" else head.line
        path, _, query = head.target.partition("?")
        self._uri = None if request.uri == path else request.uri
        self._args = None if request.args == query else request.args
        self._host = None if request.host == _host_of(head.fields) else request.host
        others = {name: value for name, value in variables.items() if name != ID}
        self.variables: dict[str, str | None] | None = others or None
        self.captures = request.captures
        self.location = request.location
        self.server = request.server
        self.protocol = protocol
        self.service = connection.service
        self.number = connection.number
        self.listen = connection.listen
        self.client_address: str = connection.client_address
        self.client_port: int = connection.client_port
        self.peer: tuple[str, int] | None = connection.peer
        self._reached = _same((connection.local_address, connection.local_port))
        self.scheme = connection.scheme
        self.tls: TlsOfClient | None = connection.tls
        self.server_name = connection.server_name
        self.proxy_protocol = connection.proxy_protocol
        self.requests = connection.requests
        self.started = connection.started

    def told(self) -> dict[str, object] | None:
        """Tell another process all of it; None where something belongs to it that only this process has."""
        captured = self.captures is not None and self.captures.re.groups
        if captured or self.tls is not None or self.proxy_protocol is not None:
            return None
        return {
            "head": self._head.decode("latin-1"),
            "texts": [self._line, self._uri, self._args, self._host, self.protocol, self.server_name],
            "variables": self.variables or {},
            "place": [_plain(self.listen), self.server.name, self.location.kind, self.location.name],
            "client": [self.client_address, self.client_port],
            "peer": list(self.peer or ()),
            "reached": list(self._reached),
            "scheme": self.scheme,
            "requests": self.requests,
            "number": self.number,
            "started": self.started,
        }

    @classmethod
    def received(cls, told: dict[str, Any], service: Service, plan: Plan) -> KeptHandshake | None:
        """Make it of what another process told; None where this configuration has no such location. Raises `Strange`.
        """
        fields = Fields(told, "handshake")
        address, *names = fields.items("place")
        texts, variables = fields.items("texts"), fields.plain_or_none("variables") or {}
        client, peer, reached = fields.items("client"), fields.items("peer"), fields.items("reached")
        made = cls.__new__(cls)
        made._head = fields.text("head").encode("latin-1")
        made.scheme = fields.text("scheme")
        made.requests, made.number = fields.whole("requests"), fields.whole("number")
        made.started = fields.real("started")
        fields.end()
        for each in (*texts, *variables.values()):
            if each is not None and not isinstance(each, str):
                raise Strange("a text of a handshake is none")
        if len(texts) != 6 or any(list(map(type, pair)) != [str, int] for pair in (client, peer or client, reached)):
            raise Strange("a handshake is not whole")
        found = [
            (listen, server, location)
            for listen in plan.listens
            if not listen.stream and _plain(listen) == address
            for server in listen.servers
            for location in server.places()
            if [server.name, location.kind, location.name] == names
        ]
        if len(found) != 1:
            return None
        made.listen, made.server, made.location = found[0]
        made._line, made._uri, made._args, made._host, made.protocol, made.server_name = texts
        made.variables = variables or None
        made.client_address, made.client_port = client
        made.peer = (peer[0], peer[1]) if peer else None
        made._reached = _same((reached[0], reached[1]))
        made.captures = made.tls = made.proxy_protocol = None
        made.service = service
        return made

    @property
    def local_address(self) -> str:
        """Return the address that the client has reached."""
        return self._reached[0]

    @property
    def local_port(self) -> int:
        """Return the port that the client has reached."""
        return self._reached[1]

    def show_peer(self) -> None:
        """Do nothing: the client's address stays the one that the handshake was judged by."""

    async def inform(self, request: Request, code: int, headers: list[tuple[str, str]]) -> None:
        """Do nothing: nobody waits for an interim answer."""

    def request(self, note: RedialNote) -> Request:
        """Make the handshake's request, as it was when it went out."""
        identity, text = self._head[:ID_SIZE].hex(), self._head[ID_SIZE:].decode("latin-1")
        asked, *lines = text.split("\n")
        headers = [(name, value) for name, _, value in (each.partition(": ") for each in lines)]
        fields = first_values(headers)
        method, _, target = asked.partition(" ")
        path, _, query = target.partition("?")
        head = RequestHead(self._line or f"{asked} HTTP/1.1", method, target, 11, headers, fields)
        head.host = _host_of(fields) if self._host is None else self._host
        request = Request(self, head, self.server)
        request.uri = path if self._uri is None else self._uri
        request.args = query if self._args is None else self._args
        request.host = head.host
        request.location = self.location
        request.captures = self.captures
        if self.variables is not None:
            request.variables = dict(self.variables)
        if identity != NO_ID:
            request.variables[ID] = identity
        request.started = self.service.timers.now
        request.context(NOTE, lambda: note)
        return request

    async def dial(
        self, loop: Loop, note: RedialNote, avoided: frozenset[Parts], attempts: list[Attempt], *, strict: bool
    ) -> Upgrade:
        """Send the handshake again, to a peer that is none of those, and return what has switched protocols.

        Raises `NotDialled`, finally where there is nobody else and only another will do (`strict`). Whoever was tried
        is added to `attempts`.
        """
        request = self.request(note)
        self.stream = Nobody(loop)  # it is here only as long as it is asked for
        try:
            return await self._dial(request, avoided, strict)
        except ProxyError as error:
            raise NotDialled(str(error) or f"no upstream can be reached ({error.status})") from None
        except NetError as error:
            raise NotDialled(str(error)) from None
        finally:
            attempts += request.attempts or ()
            for action in request.endings or ():
                action()
            release(request)
            forget(request)
            del self.stream

    async def _dial(self, request: Request, avoided: frozenset[Parts], strict: bool) -> Upgrade:
        proxy = self.location[Proxy]
        exchange = await exchange_again(proxy, request, None, avoided)
        if exchange is None:
            raise NotDialled("there is no other upstream", final=strict)
        head = await exchange.run()
        wrong = self._wrong(proxy, request, head)
        if wrong is not None:
            exchange.attempt.status = head.status
            exchange.abandon()
            raise wrong
        return Upgrade(exchange, exchange.plan.group, exchange.rest)

    def _wrong(self, proxy: Proxy, request: Request, head: ResponseHead) -> NotDialled | None:
        status = head.status
        if status != 101:
            return NotDialled(f"upstream answers {status}", final=400 <= status < 500 and status not in SURE)
        wish = self.location[WebSocket].wish
        if wish is not None and (words := answered_wrong(wish, request, head)):
            return NotDialled(f"upstream sent 101 that can not be passed on: {words}", final=True)
        if (head.joined("sec-websocket-protocol") or None) != self.protocol:
            return NotDialled("upstream has chosen another subprotocol", final=True)
        if head.joined("sec-websocket-extensions"):
            return NotDialled("upstream has chosen an extension that was not offered", final=True)
        return None


def _plain(listen: Listen) -> object:
    """Return the address that is listened on, as it is told."""
    return list(listen.address) if isinstance(listen.address, tuple) else listen.address


def _host_of(fields: dict[str, str]) -> str:
    """Return the host that a header names; nothing where there is none, or it is none."""
    found = split_host(fields.get("host", ""))
    return "" if found is None else found[0]


@lru_cache(64)
def _same(reached: tuple[str, int]) -> tuple[str, int]:
    """Return one and the same object for what many clients have reached."""
    return reached
