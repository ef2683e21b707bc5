"""One request on the straight way: the one object of its own that it has.

It is a `Request`, as judges, filters, variables and logs ask for one, and it is who waits for the backend, and who is
called when the client hangs up. Whatever is unusual goes over to the general transaction (`over`), which goes on where
this has come to: no judge is asked twice, no peer chosen twice, and no byte sent twice.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, TypeVar, cast

from penstock.http.errors import BadResponse
from penstock.http.request import Answer, Attempt
from penstock.modules.access.access import GRANTED
from penstock.net.calls import recv
from penstock.net.dial import begin_connect, end_connect
from penstock.net.errors import DialFailed, NetError, PeerGone
from penstock.net.loop import IN, OUT
from penstock.net.posting import LONGEST
from penstock.net.stream import READING
from penstock.server.finish import forget, release
from penstock.server.h1.send import begin_answer
from penstock.server.straight.begun import sent, told
from penstock.server.straight.going_over import GoingOver
from penstock.server.straight.judged import halt
from penstock.server.straight.last import send_last
from penstock.server.straight.request import usual
from penstock.server.straight.whole import whole_body
from penstock.shared.alike import like
from penstock.upstream.errors import ProxyError, failed
from penstock.upstream.exchange.reading import DOING, not_reached, not_read
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
    from penstock.upstream.peers.peers import Peer

another_attempt = like(Attempt("", 0.0))


class Passage(GoingOver):
    """A request on the straight way."""

    __slots__ = ()

    def begin(self, connection: StraightConnection, head: RequestHead, server: Server) -> None:
        """Take what each request has of its own. It was made like the `model_of` its class."""
        self.connection = connection
        self.head = head
        self.server = server
        self.location = server.root
        self.method = head.method
        self.host = head.host
        self.keep_alive = head.keep_alive
        self.started = connection.request_started
        self.request_length = connection.head_bytes
        self.variables = {}
        self.cached = {}

    # -- to the backend

    def go(self, way: Way, judges: tuple[Judge, ...]) -> None:
        """Ask judges, and send the request to a backend. Whatever happens, somebody goes on with it."""
        self.way = way
        if judges:
            for judge in judges:
                outcome = judge(self)
                if outcome is not None and outcome is not GRANTED:
                    halt(self, judge, outcome)
                    return
        if way.kept is not None:
            way.kept.give(self)
            return
        content, passing, head = way.content, way.passing, self.head
        write = content.simple
        try:
            if write is None or self.contexts is not None or self.method != "GET" or "upgrade" in head.fields:
                self.written = content.head(self)
            else:
                self.written = write(self, head.target)
        except ProxyError as error:
            self.over(told(passing.refused(self, error)))
            return
        if passing.judges:
            refused = passing.judged(self, content.prepared(self, self.written))
            if refused is not None:
                self.over(told(refused))
                return
        policy, group, client = way.policy, way.group, self.connection.stream
        now = client.hot.now
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
        self.attempt = attempt = another_attempt()
        attempt.address = peer.name
        attempt.label = peer.label
        attempt.started = now
        self.attempts = [attempt]
        if not policy.ignore_client_abort:
            client.on_hangup = self
        pool = group.pool
        line = pool.take(peer.address, policy.owner, policy.basis) if pool is not None else None
        if line is not None:
            attempt.connect_time = 0.0
            self._send(line)
        else:
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

    def _connected(self) -> None:
        """The backend has been reached, or not."""
        peer, stream = self.peer, self.stream
        assert peer is not None and stream is not None
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
        data = self.written[count:] if count else self.written
        if data and ((len(data) > LONGEST and not count) or not stream.post(data)):
            self.over(self.way.passing.carry_on(self, self._exchange(stream)))
            return
        self.sent = True
        if stream._mask == READING:
            stream._reader = self
        elif stream._mask or stream.fd < 0:
            stream._arm(IN, self)
        else:
            stream.await_first(self)
        self.connection.within(self.way.policy.read_timeout)

    def resume(self) -> None:
        """Go on: the backend has something to say, or has been reached."""
        try:
            line = self.line
            if line is None:
                self._connected()
            else:
                self._hear(line)
        except Exception as error:
            self.stumble(error)

    # -- what the backend says

    def _hear(self, line: KeptConnection) -> None:
        stream, way, attempt = line.stream, self.way, self.attempt
        limit = way.policy.head_size
        try:
            if stream._unread is None:
                data = recv(stream.fd, limit)
                count = len(data)
                stream.received += count
                stream.ready = count == limit or not count
            else:
                data = stream._take_unread(limit)
                count = len(data)
        except OSError as error:
            self._hear_nothing(stream, error)
            return
        if not count:
            self._fail(failed(f"upstream prematurely closed connection while {DOING}"))
            return
        attempt.bytes_received = count
        try:
            head = way.policy.wire.read_head(data, 0)
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
        self.over(way.passing.carry_on(self, self._exchange(stream)))

    def _switches(self, head: ResponseHead, rest: bytes, stream: Stream) -> bool:
        return False  # who has not asked for it is told by the general transaction

    def note(self, head: ResponseHead) -> None:
        """Note what has been answered, and when."""
        attempt = self.attempt
        attempt.header_time = self.connection.service.timers.now - attempt.started
        attempt.status = head.status
        self.upstream_head = head

    def _hear_nothing(self, stream: Stream, failure: OSError) -> None:
        """Wait on, or give up, as reading has failed."""
        try:
            stream._not_received(failure)
        except NetError as error:
            self._fail(not_read(error))
            return
        stream._arm(IN, self)

    def _answer(self, head: ResponseHead, body: bytes, line: KeptConnection) -> None:
        """Pass an answer on whose body came with its head."""
        connection, way = self.connection, self.way
        self.note(head)
        if connection.service.draining or connection.last:
            self.keep_alive = False
        if way.plain and self.limit_rate is None and self._post(head, body, line):
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
        keep, content, made, now = self.keep_alive, self.way.content, head.written, time()
        if keep and made is not None and made.by is content.mark and made.since <= now < made.until:
            data = made.data + body
        else:
            data = content.answer(self, head, body, now)
            if not data:
                return False
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

    def _give_back(self, line: KeptConnection, *, reusable: bool) -> None:
        """Let go of the backend: all has been read."""
        peer, selection, attempt, way = self.peer, self.selection, self.attempt, self.way
        assert peer is not None
        client = self.connection.stream
        client.on_hangup = None
        self.line = self.peer = self.selection = None
        now = client.hot.now
        attempt.bytes_sent = line.stream.sent - line.mark
        attempt.response_time = now - attempt.started
        pool = way.group.pool
        if reusable and pool is not None and not (way.content.may_tear and way.content.torn(self)):
            policy = way.policy
            pool.put(line, policy.owner, now, policy.basis)
        else:
            line.close()
        if selection is None:
            peer.done_alone()
        else:
            selection.done(peer)

    def done(self) -> None:
        """End it: all has been sent."""
        connection, way = self.connection, self.way
        connection.passage = None
        self.finished = connection.service.timers.now
        if self.held:
            release(self)
        put, line = way.put, way.line
        if put is not None and line is not None:
            put(line(self))
        else:
            for handler in way.ended:
                handler(self)
        if self.endings is not None:
            for action in self.endings:
                action()
        self.answer = None
        if self.contexts is not None or self.endings is not None or self.conversation is not None:
            forget(self)
        if self.keep_alive:
            connection.keep_alive_for = way.patience
            connection.wait()
        else:
            connection.leave(self)


P = TypeVar("P", bound=Passage)


def model_of(kind: type[P]) -> P:
    """Make the request that those of a class are made like."""
    made = usual(kind)
    made.peer = made.line = made.stream = made.selection = made.later = None
    made.sent = False
    made.written = b""
    made.attempt = Attempt("", 0.0)
    made.way = cast("Way", None)
    return made


another_passage = like(model_of(Passage))
