"""What a request of HTTP/2 sees of its connection: everything, but what is its own is its stream's.

Many requests share a connection here. Who changes the connection for the time of a request (`set_real_ip_from`)
changes this.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.config.regex.regex import MatchFailed
from penstock.http.errors import BadRequest
from penstock.http.h2.fields import field, status
from penstock.http.h2.request_head import Http2Head, request_head, whole_head
from penstock.http.uri import plain_target
from penstock.modules.core.http_core import HttpCore
from penstock.modules.http2 import spoken_at
from penstock.net.fiber import spawn
from penstock.plan.phases import SERVER_REWRITE
from penstock.server.h2.request import answer
from penstock.server.h2.straight import StreamPassage, another_stream_passage
from penstock.server.straight.way import way_through

if TYPE_CHECKING:
    from penstock.http.h2.events import Fields
    from penstock.http.proxy_protocol import ProxyHeader
    from penstock.http.request import Outcome, Request
    from penstock.net.h2.stream import Lane
    from penstock.net.tls.tls import TlsStream
    from penstock.plan.location import Listen, Server
    from penstock.server.h2.connection import Http2Connection
    from penstock.server.head_options import Host
    from penstock.server.straight.way import Way

Hosts: TypeAlias = "dict[str, Host]"
MOST_HOSTS, LONGEST_HOST = 256, 255
"""Names of hosts that are remembered for an address, and how long they may be."""


class View:
    """A `ClientConnection`. `stream` is the lane, `requests` the number of this request on the connection.

    What came is in `pairs` until somebody looks at it, `head_bytes` of it; `bodied`: its stream did not end with it.
    While the request goes straight, it is `passage`, and what it waits for is late at `due` (monotonic). A stream
    carries one request: `wait` and `leave`, which come after the answer, are its end.
    """

    __slots__ = (
        "base",
        "bodied",
        "client_address",
        "client_port",
        "due",
        "head_bytes",
        "keep_alive_for",
        "pairs",
        "passage",
        "peer",
        "request_started",
        "requests",
        "service",
        "serving",
        "stream",
        "tunnelled",
    )

    def __init__(self, serving: Http2Connection, lane: Lane, pairs: Fields, length: int, *, bodied: bool) -> None:
        self.serving = serving
        self.base = base = serving.connection
        self.stream = lane
        self.service = base.service
        self.client_address = base.client_address
        self.client_port = base.client_port
        self.peer: tuple[str, int] | None = None
        self.requests = base.requests
        self.tunnelled = False
        self.pairs: Fields = pairs
        self.head_bytes = length
        self.bodied = bodied
        self.passage: StreamPassage | None = None

    # -- a request

    def begin(self) -> None:
        """Send the request straight on its way, or hand it to the general transaction."""
        pairs, self.pairs = self.pairs, []
        serving = self.serving
        self.request_started = self.service.timers.now
        try:
            options, extended = serving.options, serving.extended
            if self.bodied:
                head = request_head(pairs, options, ended=False, extended=extended)
                head.length = self.head_bytes
            else:
                head = whole_head(pairs, options, serving.known, self.head_bytes, extended=extended)
        except BadRequest as error:
            self._go_on(answer(self, None, error))
            return
        try:
            passage = self._find(head) if self.base.straight else None
        except Exception:
            passage = None  # of what goes wrong here, the general transaction makes an answer
        if passage is None:
            self._go_on(answer(self, head))
            return
        self.passage = passage
        self.stream.fiber = self
        try:
            way: Way = passage.location.way
            passage.go(way, way.judges)
        except Exception as error:
            passage.stumble(error)

    def _find(self, head: Http2Head) -> StreamPassage | None:
        """The passage of a request that may go straight."""
        if head.method not in ("GET", "HEAD") or head.content_length is not None or "expect" in head.fields:
            return None
        if self.bodied:
            return None
        try:
            found = self.serving.hosts.get(head.host) or self._found(head.host)
            if found is None:
                return None
            server, tree, merge_slashes = found
            passage = another_stream_passage()
            passage.begin(self, head, server)  # type: ignore[arg-type]
            passage.uri, passage.args = plain_target(head.target, merge_slashes)
            location = tree.find(passage.uri, passage)
        except (MatchFailed, BadRequest):
            return None
        if location is None or (location.auto_redirect and len(location.name) == len(passage.uri) + 1):
            return None
        if way_through(server, location) is None:
            return None
        passage.location = location
        return passage

    def _found(self, host: str) -> Host | None:
        """Find the server that a client means, if requests may go straight there. Raises `MatchFailed`."""
        listen, hosts = self.base.listen, self.serving.hosts
        server, match = listen.names.find(host)
        if match is not None or server.locations is None or server.root.phases[SERVER_REWRITE]:
            return None
        if not spoken_at(listen, server):
            return None
        found = server, server.locations, server.root[HttpCore].merge_slashes
        if len(host) <= LONGEST_HOST:
            if len(hosts) >= MOST_HOSTS:
                hosts.clear()
            hosts[host] = found
        return found

    def _go_on(self, answering: Coroutine[Any, Any, None]) -> None:
        lane = self.stream
        fiber = spawn(answering)
        if not fiber.done:
            lane.fiber = fiber

    # -- what a request on the straight way asks of its connection

    def within(self, seconds: float) -> None:
        """Let the request be late after so many seconds."""
        self.due = due = self.service.timers.now + seconds
        alarm = self.serving.lateness
        if due < alarm.deadline:
            alarm.at(due)

    def go_over(self, request: Request, begun: Coroutine[Any, Any, Outcome]) -> None:
        """Let the general transaction go on with the request."""
        lane = self.stream
        self.passage = lane.fiber = lane.on_hangup = None
        self._go_on(answer(self, None, request=request, begun=begun))

    def wait(self) -> None:
        """Let go of the stream: its request has been answered."""
        self.stream.over()

    def leave(self, request: Request) -> None:
        """Let go of the stream: its request has been answered."""
        self.stream.close()

    def cancel(self) -> None:
        """Give up the request, as its connection ends."""
        if self.passage is not None:
            self.passage.end()

    @property
    def listen(self) -> Listen:
        return self.base.listen

    @property
    def started(self) -> float:
        return self.base.started

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
