"""One request on the straight way: the one object of its own that it has.

It is a `Request`, as judges, filters, variables and logs ask for one, and it is who waits for the backend.
Whatever is unusual goes over to the general transaction (`over`), which goes on where this has come to: no
judge is asked twice, no peer chosen twice, and no byte sent twice.
"""

from __future__ import annotations

from collections.abc import Coroutine
from errno import ECONNRESET
from typing import TYPE_CHECKING, Any

from penstock.http.chunked import LAST_CHUNK, encode_chunk
from penstock.http.errors import BadResponse
from penstock.http.request import Answer, Attempt, Outcome
from penstock.modules.access.access import GRANTED
from penstock.net.dial import begin_connect, end_connect
from penstock.net.errors import DialFailed, NetError, PeerGone, TimedOut
from penstock.net.fiber import Cancelled
from penstock.net.loop import IN, OUT
from penstock.net.posting import LONGEST
from penstock.net.stream import READING
from penstock.plan import phases
from penstock.server.finish import forget, release
from penstock.server.h1.send import begin_answer
from penstock.server.head import signature
from penstock.server.straight.begun import giving, raised, sent, told
from penstock.server.straight.judged import give_up, halt
from penstock.server.straight.last import CLOSES, send_last
from penstock.server.straight.request import StraightRequest
from penstock.server.straight.whole import whole_body
from penstock.upstream.errors import ClientGone, ProxyError, failed, timed_out
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.exchange.reading import DOING, not_reached, not_read
from penstock.upstream.exchange.sending import NOTHING
from penstock.upstream.peers.keepalive import KeptConnection

if TYPE_CHECKING:
    from penstock.http.head import RequestHead
    from penstock.http.response import ResponseHead
    from penstock.modules.awaited import Judge
    from penstock.net.stream import Stream
    from penstock.plan.location import Server
    from penstock.server.straight.client import StraightConnection
    from penstock.server.straight.way import Way
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.peers.balancers import PeerSelection
    from penstock.upstream.peers.peers import Peer


class Passage(StraightRequest):
    """A request on the straight way. `policy`, `attempt`, `peer`, `line` and `selection` are as an `Exchange` has them;
    `stream` is the backend's while it is being connected to, `written` the head that it gets."""

    __slots__ = ("attempt", "line", "peer", "selection", "sent", "stream", "way", "written")

    connection: StraightConnection

    def __init__(self, connection: StraightConnection, head: RequestHead, server: Server) -> None:
        super().__init__(connection, head, server, connection.request_started, connection.head_bytes)
        self.peer: Peer | None = None
        self.line: KeptConnection | None = None
        self.sent = False
        self.stream: Stream | None = None

    @property
    def policy(self) -> Policy:
        """Return what is to be observed towards backends."""
        return self.way.policy

    # -- to the backend

    def go(self, way: Way, judges: tuple[Judge, ...]) -> None:
        """Ask judges, and send the request to a backend. Whatever happens, somebody goes on with it."""
        self.way = way
        for judge in judges:
            outcome = judge(self)
            if outcome is not None and outcome is not GRANTED:
                halt(self, judge, outcome)
                return
        if way.kept is not None:
            way.kept.give(self)
            return
        passing = way.passing
        try:
            self.written: bytes = way.content.head(self)
        except ProxyError as error:
            self.over(told(passing.refused(self, error)))
            return
        if passing.judges:
            refused = passing.judged(self, way.content.prepared(self, self.written))
            if refused is not None:
                self.over(told(refused))
                return
        policy, group = way.policy, way.group
        client = self.connection.stream
        now = client.hot.now
        self.selection: PeerSelection | None = None
        peer = group.only(now)
        if peer is None:
            self.selection = selection = group.balancer(group, self)
            if policy.next_tries and selection.tries > policy.next_tries:
                selection.tries = policy.next_tries
            peer = selection.next(now)
            if peer is None:
                self.over(passing.carry_on(self, self._exchange()))
                return
        self.peer = peer
        self.attempt = attempt = Attempt(peer.name, now, peer.label)
        self.attempts = [attempt]
        if not policy.ignore_client_abort:
            client.on_hangup = self._client_gone
        pool = group.pool
        line = pool.take(peer.address, policy.owner, policy.basis) if pool is not None else None
        if line is not None:
            attempt.connect_time = 0.0
            self._send(line)
            return
        self._dial(peer, policy)

    def _dial(self, peer: Peer, policy: Policy) -> None:
        """Connect to a backend, and send the head."""
        loop, place, alive = self.connection.service.loop, peer.address, policy.socket_keepalive
        try:
            stream, done = begin_connect(place, loop, keepalive=alive, rcvbuf=policy.rcvbuf, sndbuf=policy.sndbuf)
        except DialFailed as error:
            self._fail(not_reached(error))
            return
        count = 0
        if not done:
            # On the same machine the peer's kernel has answered by now, and takes the head: no event, no call to ask.
            try:
                count = stream.send_now(self.written)
            except PeerGone as error:
                stream.close()
                self._fail(not_reached(DialFailed(error.errno)))
                return
            if not count:
                self.stream = stream
                stream._arm(OUT, self)
                self.connection.within(policy.connect_timeout)
                return
        self.attempt.connect_time = 0.0
        self._send(KeptConnection(stream, place, loop.hot.now), count)

    def _connected(self, stream: Stream) -> None:
        """The backend has been reached, or not."""
        peer = self.peer
        assert peer is not None
        self.stream = None
        now = stream.hot.now
        try:
            end_connect(stream)
        except DialFailed as error:
            self._fail(not_reached(error))
            return
        self.attempt.connect_time = now - self.attempt.started
        self._send(KeptConnection(stream, peer.address, now))

    def _send(self, line: KeptConnection, count: int = 0) -> None:
        """Send the head, of which so many bytes have gone, and wait for the answer."""
        self.line = line
        line.requests += 1
        stream = line.stream
        line.mark = stream.sent - count
        data = self.written[count:]
        if data and ((len(data) > LONGEST and not count) or not stream.post(data)):
            self.over(self.way.passing.carry_on(self, self._exchange(stream)))
            return
        self.sent = True
        mask = stream._mask
        if mask & READING == READING:
            stream._reader = self
        elif mask or stream.fd < 0:
            stream._arm(IN, self)
        else:
            stream.await_first(self)
        self.connection.within(self.way.policy.read_timeout)

    # -- what the backend's stream, the alarm and the client's stream tell

    def resume(self) -> None:
        """Go on: the backend has something to say, or has been reached."""
        try:
            if self.stream is not None:
                self._connected(self.stream)
            else:
                self._hear()
        except Exception as error:
            self.stumble(error)

    def stumble(self, error: Exception) -> None:
        """Let the general transaction deal with an error, and with a peer that has been chosen."""
        if self.peer is not None:
            self._fail(error)
        else:
            self.over(raised(error))

    def interrupt(self, error: BaseException) -> None:
        """Give up: the backend's stream can not be used any more."""
        if self.line is not None or self.stream is not None:
            self._fail(not_read(error) if isinstance(error, NetError) else error)

    def late(self) -> None:
        """Give up: it takes the backend too long."""
        doing = DOING if self.stream is None else "connecting to upstream"
        self._stop_dialling()
        self._fail(timed_out(doing, TimedOut()))

    def end(self) -> None:
        """End it, as its connection is closed under it."""
        self._stop_dialling()
        give_up(self, Cancelled())

    def _stop_dialling(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            stream._writer = None
            stream.close()

    def _client_gone(self) -> None:
        self._stop_dialling()
        exchange = self._exchange(ClientGone(ECONNRESET))
        exchange.log("info", "client prematurely closed connection, so upstream connection is closed too")
        self.over(self.way.passing.carry_on(self, exchange))

    # -- what the backend says

    def _hear(self) -> None:
        line = self.line
        assert line is not None
        stream = line.stream
        try:
            data = stream.recv_now(self.way.policy.head_size)
        except NetError as error:
            self._fail(not_read(error))
            return
        if data is None:
            stream._arm(IN, self)
            return
        if not data:
            self._fail(failed(f"upstream prematurely closed connection while {DOING}"))
            return
        attempt = self.attempt
        attempt.bytes_received = len(data)
        try:
            head = self.way.policy.wire.read_head(data, 0)
        except BadResponse as error:
            self._fail(failed(f"{error.reason} while {DOING}", retry="invalid_header", cause=error))
            return
        if head is not None:
            rest = data[head.length :]
            if head.status == 101 and self._switches(head, rest, stream):
                return
            body = whole_body(self.head, head, rest)
            if body is not None:
                attempt.length = len(rest)
                self._answer(head, body, line)
                return
        # It is read again, by who can wait for the rest of it, or try another peer.
        attempt.bytes_received = 0
        stream.unread(data)
        self.over(self.way.passing.carry_on(self, self._exchange(stream)))

    def _switches(self, head: ResponseHead, rest: bytes, stream: Stream) -> bool:
        return False  # who has not asked for it is told by the general transaction

    def _answer(self, head: ResponseHead, body: bytes, line: KeptConnection) -> None:
        """Pass an answer on whose body came with its head."""
        connection, way = self.connection, self.way
        self.note(head)
        if connection.service.draining or connection.last:
            self.keep_alive = False
        if way.plain and self._post(head, body, line):
            return
        answer = Answer(head.status, body)
        answer.from_upstream = True
        answer.reason = head.status_line[4:]
        answer.length = head.content_length
        way.passing.answers.headers(way.passing, self, answer, head)
        self._give_back(line, reusable=head.keep_alive)
        for change in way.filters:
            change(self, answer)
        self.send(answer)

    def send(self, answer: Answer) -> None:
        """Send an answer."""
        unsent = begin_answer(self, answer, self.connection.stream)
        if unsent is None:
            self.done()
        else:
            self.over(sent(unsent))

    def _post(self, head: ResponseHead, body: bytes, line: KeptConnection) -> bool:
        """Write an answer's head and let it leave with its body; False, and nothing done, where that is not enough."""
        way, keep = self.way, self.keep_alive
        lines = way.content.lines(head)
        if lines is None or self.limit_rate is not None:
            return False
        first, before, after = lines
        if head.chunked and self.method != "HEAD":
            if not way.core.chunked_transfer_encoding:
                return False  # it ends with the connection
            before += "Transfer-Encoding: chunked\r\n"
            body = encode_chunk(body) + LAST_CHUNK
        stays = way.connection_line if keep else CLOSES
        text = f"{first}{signature(way.core.server_tokens)}{before}{stays}{after}\r\n"
        data = text.encode("latin-1") + body
        if keep and (len(data) > LONGEST or not self.connection.stream.post(data)):
            return False
        self.status = head.status
        if not keep:
            self._give_back(line, reusable=head.keep_alive)
            send_last(self, data, len(body))
            return True
        self.bytes_sent = len(data)
        self.body_bytes_sent = len(body)
        self.completed = True
        self._give_back(line, reusable=head.keep_alive)
        self.done()
        return True

    def note(self, head: ResponseHead) -> None:
        """Note what has been answered, and when."""
        attempt = self.attempt
        attempt.header_time = self.connection.service.timers.now - attempt.started
        attempt.status = head.status
        self.upstream_head = head

    def _give_back(self, line: KeptConnection, *, reusable: bool) -> None:
        """Let go of the backend: all has been read."""
        peer = self.peer
        assert peer is not None
        client = self.connection.stream
        client.on_hangup = None
        self.line = self.peer = None
        now = client.hot.now
        attempt = self.attempt
        attempt.bytes_sent = line.stream.sent - line.mark
        attempt.response_time = now - attempt.started
        way = self.way
        pool = way.group.pool
        if reusable and pool is not None and not way.content.torn(self):
            pool.put(line, self.way.policy.owner, now, self.way.policy.basis)
        else:
            line.close()
        selection, self.selection = self.selection, None
        if selection is None:
            peer.done_alone()
        else:
            selection.done(peer)

    def done(self) -> None:
        """End it: all has been sent."""
        connection = self.connection
        connection.passage = None
        self.finished = connection.service.timers.now
        if self.held:
            release(self)
        for handler, _ in self.location.phases[phases.LOG]:
            handler(self)
        if self.endings is not None:
            for action in self.endings:
                action()
        self.answer = None
        if self.__dict__:
            forget(self)
        if self.keep_alive:
            connection.keep_alive_for = self.way.core.keepalive_timeout[0]
            connection.wait()
        else:
            connection.leave(self)

    # -- over to the general transaction

    def over(self, begun: Coroutine[Any, Any, Outcome]) -> None:
        """Go over to the general transaction, which goes on with what `begun` comes to."""
        self.connection.go_over(self, begun)

    def _fail(self, error: BaseException) -> None:
        self.over(self.way.passing.carry_on(self, self._exchange(error)))

    def _exchange(self, begun: Stream | BaseException | None = None) -> Exchange:
        """The exchange that goes on with this: from a stream, from a failure, or without a peer."""
        selection, self.selection = self.selection, None  # which has the request, as the request has it
        prepared = self.way.content.prepared(self, self.written)
        prepared.selection = selection
        exchange = Exchange(self, prepared, self.policy, NOTHING)
        if begun is not None:
            exchange.peer, self.peer = self.peer, None
            exchange.line, self.line = self.line, None
            exchange.attempt = self.attempt
            exchange.started = self.attempt.started
            exchange.sent = self.sent
            exchange.begun = giving(begun)
        return exchange
