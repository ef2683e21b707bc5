"""A client's connection that waits without a fiber, and its requests on their way there.

While nothing comes, and while a request goes straight, there is no coroutine: the connection is who waits for its
client's stream, and for its one alarm. What has to wait in another way gets a fiber, and the general transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

from penstock.config.regex.regex import MatchFailed
from penstock.http.errors import BadRequest
from penstock.http.head import RequestHead, parse_new_request
from penstock.http.request import Outcome, Request
from penstock.http.uri import plain_target
from penstock.modules.core.http_core import HttpCore
from penstock.net.calls import recv
from penstock.net.errors import NetError
from penstock.net.fiber import spawn
from penstock.net.loop import IN
from penstock.net.stream import READ_SIZE, READING, Stream
from penstock.observe.errorlog import INFO, report
from penstock.plan.phases import SERVER_REWRITE
from penstock.server.connection import Connection
from penstock.server.h1.connection import LAST_CHANCE, end_politely, serve
from penstock.server.head_options import NOWHERE
from penstock.server.straight.handshake import another_handshake
from penstock.server.straight.passage import Passage, another_passage
from penstock.server.straight.way import way_through
from penstock.server.transaction import CLIENT_STALLED
from penstock.shared.alike import like
from penstock.shared.memo import MOST

if TYPE_CHECKING:
    from penstock.net.dial import Address
    from penstock.plan.location import Listen
    from penstock.server.head_options import Host, KnownServers
    from penstock.server.service import Service
    from penstock.server.straight.way import Way


class StraightConnection(Connection):
    """A connection whose requests may go straight. `passage` is the one that does."""

    __slots__ = ("passage",)

    straight = True

    def __init__(self, service: Service, number: int, stream: Stream, peer: Address | bytes, listen: Listen) -> None:
        super().__init__(service, number, stream, peer, listen)
        self.passage: Passage | None = None

    def start(self) -> None:
        """Begin with what came with the connection itself; wait for it otherwise."""
        stream = self.stream
        data = stream._unread
        if data is None:
            self.wait()
            return
        stream._unread = None
        count = len(data)
        stream.ready = count == READ_SIZE
        self._take(data, count)

    def wait(self) -> None:
        """Wait for the next request without a fiber; with one where something has come already."""
        stream, service = self.stream, self.service
        self.fiber = None
        if stream.ready:
            self._go_on(serve(self))
            return
        self.idle = True
        self.since = now = service.timers.now
        self.pipelined = False
        if self.generation != service.generation:
            self.move_on()
        patience = self.keep_alive_for if self.requests else self.server.root[HttpCore].client_header_timeout
        if self.last:
            patience = min(patience, LAST_CHANCE)
        alarm = self.alarm
        if alarm is None:
            alarm = self.alarm = service.timers.lend(self)
        alarm.deadline = due = now + patience
        if due < alarm.queued:
            alarm.at(due)
        mask = stream._mask
        if mask == READING and self.tls is None:
            stream._reader = self
        elif not mask and stream.fd >= 0:
            stream.await_first(self)
        else:
            self._await_more()

    def read_first(self) -> None:
        """Read what may have come with the end of a handshake, and wait for the rest."""
        self.wait()
        stream = self.stream
        if stream._reader is self:
            stream._reader = None
            self.resume()

    def _await_more(self) -> None:
        try:
            self.stream._arm(IN, self)
        except NetError:
            self._over()

    def within(self, seconds: float) -> None:
        """Let the alarm come up after so many seconds of silence."""
        alarm = self.alarm
        if alarm is None:
            alarm = self.alarm = self.service.timers.lend(self)
        alarm.deadline = due = alarm.timers.now + seconds
        if due < alarm.queued:
            alarm.at(due)

    # -- what the stream and the alarm tell

    def resume(self) -> None:
        """Read what has come."""
        stream = self.stream
        if self.tls is not None:
            data = self._decrypted()
            if data is None:
                return
            count = len(data)
        else:
            try:
                data = recv(stream.fd, READ_SIZE)
            except OSError:
                data = None
            if not data:
                if data is not None:
                    self._over()
                    return
                stream.ready = True  # who reads again learns of it
                self._go_on(serve(self))
                return
            count = len(data)
            stream.received += count
            stream.ready = count == READ_SIZE
        self._take(data, count)

    def _take(self, data: bytes, count: int) -> None:
        requests = self.requests
        try:
            self._begin(data, count)
        except Exception:
            # Of what goes wrong here, the general transaction makes an answer.
            self.requests = requests
            self._again(data)

    def _decrypted(self) -> bytes | None:
        """What has come over TLS; None where a part of a record has, or the end, which is dealt with."""
        try:
            data = self.stream.recv_now()
        except NetError:
            data = b""
        if data is None:
            self._await_more()
        elif not data:
            self._over()
        return data or None

    def interrupt(self, error: BaseException) -> None:
        """End it: the stream has been closed while nothing came."""
        self._over()

    def __call__(self) -> None:
        """The alarm has come up."""
        passage = self.passage
        if passage is not None:
            passage.late()
            return
        if not self.requests:
            report(self, INFO, f"{CLIENT_STALLED} while waiting for request")
        self._over()

    def abandon(self) -> None:
        """End what is under way: its stream has been closed from outside."""
        if self.passage is not None:
            self.passage.end()

    # -- a request

    def _begin(self, data: bytes, count: int) -> None:
        """Send a request straight on its way, or hand it to the general transaction."""
        service = self.service
        options, small, seen, servers = service.readings[self.server]
        head = seen.find(data) if count <= small and self.reader is None else None
        if head is None:
            # Nearly always one whole head has come. For anything else there is the general transaction.
            if (
                self.reader is not None
                or data.find(b"\r\n\r\n") != count - 4
                or data.find(b"\n\n") >= 0
                or data[0] == 13
                or data[0] == 10
            ):
                self._again(data)
                return
            try:
                head = parse_new_request(data, options, seen) if count <= small else self._long_head(data)
            except BadRequest:
                pass
            if head is None:
                self._again(data)
                return
        self.idle = False
        self.requests += 1
        self.request_started = service.timers.now
        self.head_bytes = count
        self.rest = b""
        passage = self._find(head, servers)
        if passage is None:
            self._go_on(serve(self, head=head))
            return
        self.passage = passage
        try:
            way: Way = passage.location.way
            passage.go(way, way.judges)
        except Exception as error:
            passage.stumble(error)

    def _long_head(self, data: bytes) -> RequestHead | None:
        """Read a head that needs more than one of nginx's buffers. Raises `BadRequest`."""
        return self.service.head_reader(self.server).feed(data)

    def _find(self, head: RequestHead, servers: KnownServers) -> Passage | None:
        """The passage of a request that may go straight."""
        if self.plain_on_tls or (head.method != "GET" and (head.method != "HEAD" or "upgrade" in head.fields)):
            return None
        try:
            listen, found = servers.get(head.like, NOWHERE)
            if found is None or listen is not self.listen:
                found = self._server_of(head)
                if found is None:
                    return None
                if head.like is not None:
                    if len(servers) >= MOST:
                        servers.clear()
                    servers[head.like] = self.listen, found
            server, tree, merge_slashes = found
            passage = another_handshake() if "upgrade" in head.fields else another_passage()
            passage.begin(self, head, server)
            passage.uri, passage.args = head.split or plain_target(head.target, merge_slashes)
            location = tree.find(passage.uri, passage)
        except (MatchFailed, BadRequest):
            return None
        if location is None or (location.auto_redirect and len(location.name) == len(passage.uri) + 1):
            return None
        way = location.way
        if way is None:
            way = way_through(server, location)
        if not way:
            return None
        passage.location = location
        if passage.keep_alive and (
            self.requests >= way.most
            or passage.started - self.started > way.longest
            or (way.shuns_safari and "Safari/" in head.fields.get("user-agent", ""))
        ):
            return None
        return passage

    def _server_of(self, head: RequestHead) -> Host | None:
        """Find the server that a client means, if requests with such header lines may go straight there. Raises
        `MatchFailed`."""
        if head.version != 11 or head.content_length is not None or head.chunked or "expect" in head.fields:
            return None
        server, match = self.listen.names.find(head.host)
        if match is not None or server.locations is None or server.root.phases[SERVER_REWRITE]:
            return None
        return server, server.locations, server.root[HttpCore].merge_slashes

    def _again(self, data: bytes) -> None:
        """Let the general transaction read the same bytes."""
        self.reader = None
        self.stream.unread(data)
        self._go_on(serve(self))

    def _go_on(self, serving: Coroutine[Any, Any, None]) -> None:
        alarm = self.alarm
        if alarm is not None:
            alarm.deadline = inf
        fiber = spawn(serving)
        self.fiber = None if fiber.done else fiber

    def go_over(self, request: Request, begun: Coroutine[Any, Any, Outcome]) -> None:
        """Let the general transaction go on with a request."""
        self.passage = None
        self.stream.on_hangup = None
        self._go_on(serve(self, request=request, begun=begun))

    def leave(self, request: Request) -> None:
        """End it politely: the last answer has been sent."""
        stream = self.stream
        if stream.ready or request.location[HttpCore].lingering_close == "always":
            self._go_on(end_politely(self, request))
            return
        stream.shutdown_write()
        self._over()

    def _over(self) -> None:
        """Close it."""
        self.stream._reader = None
        self.stream.close()
        self.service.gone(self)


_NO_STREAM: Any = None


def beginning(service: Service, listen: Listen) -> Callable[[int, Stream, Any], Connection]:
    """Return what makes the connections of those who come in there: `StraightConnection(service, number, stream, peer,
    listen)`, for a quarter of it."""
    another = like(StraightConnection(service, 0, _NO_STREAM, b"", listen))

    def begin(number: int, stream: Stream, peer: Any) -> Connection:
        connection = another()
        connection.number = number
        connection.stream = stream
        if isinstance(peer, tuple):
            connection.client_address = peer[0]
            connection.client_port = peer[1]
        connection.started = connection.since = connection.request_started = service.timers.now
        connection.generation = service.generation
        return connection

    return begin
