"""One request and the backends it is tried at, until a head has come that may be passed on.

    choose a peer -> take a kept connection or dial -> send head and body -> read the head
                  ^                                                         |
                  +------- failed, and another may be tried ----------------+

A failure is a `ProxyError` that says whether another peer may be tried; whether it is tried depends on the policy, on
what has been sent, and on how often and how long it has been tried already (nginx: ngx_http_upstream_next).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from errno import ECONNRESET
from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.http.request import Attempt
from penstock.net import fiber
from penstock.net.dial import connect
from penstock.net.errors import DialFailed, NetError, TimedOut
from penstock.net.fiber import Fiber, current
from penstock.net.posting import LONGEST
from penstock.upstream.errors import ClientGone, ProxyError, Retry, failed, timed_out
from penstock.upstream.exchange.incoming import Incoming
from penstock.upstream.exchange.policy import RETRIED, UNWANTED
from penstock.upstream.exchange.queued import peer_in_time
from penstock.upstream.exchange.reading import DOING, not_reached, not_read, read_head
from penstock.upstream.exchange.sending import push
from penstock.upstream.peers.keepalive import KeptConnection
from penstock.upstream.peers.queue import worth_waiting

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.keeps import Keeps
    from penstock.upstream.exchange.outgoing import Local, Prepared
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.exchange.sending import OutgoingBody
    from penstock.upstream.peers.peers import Peer


class Exchange:
    """`plan` is the request as it goes out, `body` what follows its head, `stream` the client's. `reached`: a
    server has been sent the request and was of no use, which may be the request's doing. Once `run` has given a
    head, `rest` holds what came behind it, and `open` gives the answer's body.
    """

    __slots__ = (
        "attempt",
        "begun",
        "bind",
        "body",
        "fiber",
        "incoming",
        "keep",
        "line",
        "peer",
        "plan",
        "policy",
        "reached",
        "request",
        "rest",
        "selection",
        "sender",
        "sent",
        "started",
        "stream",
    )

    reuses = True
    """Whether a kept connection will do."""
    attempt: Attempt
    started: float
    fiber: Fiber[object]

    def __init__(
        self, request: Request, plan: Prepared, policy: Policy, body: OutgoingBody, bind: Local | None = None
    ) -> None:
        self.request = request
        self.plan = plan
        self.policy = policy
        self.body = body
        self.bind = bind
        self.selection = plan.selection or plan.group.balancer(plan.group, request)
        # A `Stream`, or what stands for one: `http/` only knows that it hangs up.
        self.stream: Stream = request.connection.stream  # type: ignore[assignment]
        self.peer: Peer | None = None
        self.line: KeptConnection | None = None
        self.sender: Fiber[None] | None = None
        self.incoming: Incoming | None = None
        self.sent = self.reached = False
        self.rest = b""
        self.keep: Keeps | None = None  # whoever may keep the answer
        self.begun: Callable[[], Stream] | None = None  # the first attempt's stream, or failure, where it was begun

    async def run(self) -> ResponseHead:
        """Try peers until there is a head to pass on, and return it. Raises `ProxyError` when all that may be tried has
        failed."""
        request, policy = self.request, self.policy
        selection, client = self.selection, self.stream
        hot = client.hot
        self.fiber = fiber.running or current()
        if not policy.ignore_client_abort:
            client.on_hangup = self._client_gone
        begun = self.begun
        if begun is None:
            self.started = hot.now
            if policy.next_tries and selection.tries > policy.next_tries:
                selection.tries = policy.next_tries
            if request.attempts is None:
                request.attempts = []
            elif request.attempts:
                request.attempts[-1].redirected = True
        try:
            while True:
                try:
                    # One attempt, written out: a coroutine that does not wait costs 630 instructions more than a call,
                    # and without four of them a request costs 4 % less (experiments/requests.md).
                    if begun is None:
                        stream = self._kept(hot.now) or await self._dial(hot.now)
                    else:
                        self.begun, first, begun = None, begun, None
                        stream = first()
                    if not self.sent and not self._send(stream):
                        head = await self._head(stream)
                    else:
                        # Nearly always the first read brings a whole head: that way shall be short.
                        try:
                            data = await stream.recv(policy.head_size, policy.read_timeout)
                        except NetError as error:
                            raise not_read(error) from None
                        head = self._first(data) or await read_head(self, stream, data)
                except ProxyError as error:
                    if not self._failed(error):
                        raise
                    continue
                attempt = self.attempt
                attempt.header_time = hot.now - attempt.started
                attempt.status = status = head.status
                request.upstream_head = head
                if head.version == 9:
                    self.log("error", f"upstream sent no valid HTTP/1.0 header while {DOING}")
                if status >= 300 and self._unwanted(head):
                    continue
                return head
        except BaseException:
            self.abandon()
            raise

    def open(self, head: ResponseHead) -> Incoming:
        """Return the answer's body, to be read to its end or closed."""
        rest, self.rest = self.rest, b""
        self.incoming = incoming = Incoming(self, head, rest)
        return incoming

    def abandon(self) -> None:
        """Drop whatever is under way: nobody wants the answer any more."""
        self._stop_sending()
        self.stream.on_hangup = None
        if self.incoming is not None:
            self.incoming.close()
        elif self.peer is not None:
            self._leave()
            self.selection.done(self.peer)
            self.peer = None

    def has_sent(self) -> bool:
        """Return whether all of the request has gone, and nobody writes to the backend any more."""
        sender = self.sender
        if sender is None:
            return True
        if not sender.done:
            return False
        self.sender = None
        return sender.take_error() is None

    def release(self, *, reusable: bool) -> None:
        """Give the peer back when the answer has been read to its end, and keep the connection if it may be kept."""
        client = self.stream
        client.on_hangup = None
        self.incoming = None
        if self.sender is not None:
            reusable = False
            self._stop_sending()
        line, peer, attempt = self.line, self.peer, self.attempt
        if line is None or peer is None:
            return
        self.line = self.peer = None
        attempt.bytes_sent = line.stream.sent - line.mark
        if attempt.response_time is None:
            attempt.response_time = client.hot.now - attempt.started
        pool = self.plan.group.pool
        if reusable and pool is not None and not self.plan.torn:
            pool.put(line, self.policy.owner, client.hot.now, self.policy.basis)
        else:
            line.close()
        self.selection.done(peer)

    def log(self, level: str, text: str) -> None:
        """Write a line to the error log that names the backend."""
        request = self.request
        scheme, uri = self.plan.label
        request.upstream_url = f"{scheme}{self.attempt.address}{uri}"
        self.policy.log(request, level, text)

    def _client_gone(self) -> None:
        self.log("info", "client prematurely closed connection, so upstream connection is closed too")
        self.fiber.interrupt(ClientGone(ECONNRESET))

    # -- one attempt ------------------------------------------------------------------------------------------------

    def _send(self, stream: Stream) -> bool:
        """Send the request, and return whether all of it has gone. Raises `ProxyError`."""
        plan = self.plan
        self.sent = True
        body = self.body
        if not body.whole:
            self._start_sending(body.send(stream, plan.head, self.policy.send_timeout))
            return False
        data = plan.head + body.inline if body.inline else plan.head
        if len(data) <= LONGEST and stream.post(data):
            return True
        try:
            count = stream.send_now(data)
        except NetError as error:
            raise failed(f"{error} while sending request to upstream", cause=error) from None
        if count == len(data):
            return True
        self._start_sending(push(stream, data[count:], self.policy.send_timeout))
        return False

    async def _head(self, stream: Stream) -> ResponseHead:
        """Read the head of the answer to a request that is still being sent. Raises `ProxyError`."""
        return await read_head(self, stream, b"")

    def _first(self, data: bytes) -> ResponseHead | None:
        """Read the head in what the first read brought; None if that is not the whole of it. Raises `ProxyError`."""
        if not data:
            raise failed(f"upstream prematurely closed connection while {DOING}")
        self.attempt.bytes_received = len(data)
        try:
            head = self.policy.wire.read_head(data, 0)
        except BadResponse as error:
            raise failed(f"{error.reason} while {DOING}", retry="invalid_header", cause=error) from None
        if head is None or (head.status < 200 and head.status != 101):
            return None
        length = head.length
        if len(data) > length:
            self.rest = data[length:]
        return head

    def _kept(self, now: float) -> Stream | None:
        """Choose a peer; a kept connection to it if there is one. Raises `ProxyError` where it may not be asked."""
        plan = self.plan
        group = plan.group
        peer = self.selection.next(now)
        if peer is None and not self.reached and (group.queue is None or not worth_waiting(self.selection, now)):
            peer = self.selection.last_resort(now)
        attempt = Attempt(group.name, now) if peer is None else Attempt(peer.name, now, peer.label)
        self.attempt = attempt
        self.request.attempts.append(attempt)  # type: ignore[union-attr]
        self.sent = False
        self.rest = b""
        if peer is None:
            return None  # `_dial` waits for one, or fails
        self.peer = peer
        if plan.each is not None:
            plan.each(self)
        pool = group.pool
        policy = self.policy
        line = pool.take(peer.address, policy.owner, policy.basis) if pool is not None and self.reuses else None
        if line is None and group.spares is not None:
            line = group.spares.for_attempt(self, peer)
        if line is None:
            return None
        attempt.connect_time = 0.0
        # `taken`, without the call (340 instructions).
        self.line = line
        line.requests += 1
        stream = line.stream
        line.mark = stream.sent
        return stream

    def taken(self, line: KeptConnection) -> Stream:
        """Use a connection for this attempt."""
        self.line = line
        line.requests += 1
        stream = line.stream
        line.mark = stream.sent
        return stream

    async def _dial(self, now: float) -> Stream:
        """Make a new connection to the peer that was chosen. Raises `ProxyError`."""
        peer = self.peer
        if peer is None:
            peer, stream = await peer_in_time(self)
            if stream is not None:
                self.attempt.connect_time = 0.0
                return stream
        policy = self.policy
        local = self.bind
        try:
            stream = await connect(
                peer.address,
                policy.connect_timeout,
                bind=None if local is None or isinstance(peer.address, str) else local.address,
                transparent=local is not None and local.transparent,
                keepalive=policy.socket_keepalive,
                rcvbuf=policy.rcvbuf,
                sndbuf=policy.sndbuf,
                loop=self.stream.loop,
            )
        except TimedOut as error:
            raise timed_out("connecting to upstream", error) from None
        except DialFailed as error:
            raise not_reached(error) from None
        if self.plan.secure is not None:
            stream = await self.plan.secure(stream, self.request)
        self.attempt.connect_time = stream.hot.now - now
        return self.taken(KeptConnection(stream, peer.address, stream.hot.now))

    def _start_sending(self, sending: Coroutine[object, None, None]) -> None:
        """Send in a fiber of its own, as the answer may come before all is sent."""

        def sent(fiber: Fiber[None]) -> None:
            if self.sender is fiber:
                answering = self.incoming is not None and isinstance(fiber.error, NetError)
                (self._client_gone if answering else self.fiber.resume)()  # its body broke off amid the answer to it

        self.sender = sender = Fiber(sending)
        sender.keep_error = True
        sender.resume()
        sender.on_done(sent)

    def _stop_sending(self) -> None:
        sender = self.sender
        if sender is not None:
            self.sender = None
            sender.cancel()
            sender.take_error()  # nobody else asks

    # -- what becomes of an attempt -----------------------------------------------------------------------------------

    def _failed(self, error: ProxyError) -> bool:
        """Log a failure, and charge it to the peer. Return whether another attempt is to be made."""
        if error.text:
            self.log(error.level, error.text)
        line = self.line
        stale = line is not None and line.reused and error.retry == "error" and not self.attempt.bytes_received
        self._leave()
        self.attempt.status = error.status
        if stale and self.peer is not None:
            self.selection.stale(self.peer)
            self.peer = None
        else:
            self.reached |= self.sent
            self._give_back(error.retry)
        return self.selection.tries > 0 and self._allowed(error.retry)

    def _unwanted(self, head: ResponseHead) -> bool:
        """Return whether an answer is to be dropped, and another peer tried, because of its status."""
        retry = RETRIED.get(head.status)
        if retry is None or self.selection.tries <= 1 or not self._allowed(retry):
            return False
        self.reached = True
        self._leave()
        self._give_back(retry)
        return True

    def _give_back(self, retry: Retry) -> None:
        peer = self.peer
        if peer is None:
            return
        self.peer = None
        if retry in UNWANTED:
            self.selection.passed_over(peer)
        elif self.selection.failed(peer, self.stream.hot.now):
            self.log("warn", "upstream server temporarily disabled")

    def _allowed(self, retry: Retry) -> bool:
        policy = self.policy
        if not policy.allows(retry, self.request.method, sent=self.sent) or (self.sent and not self.body.replayable):
            return False
        return not policy.next_timeout or self.stream.hot.now - self.started < policy.next_timeout

    def _leave(self) -> None:
        """Close the connection of this attempt."""
        self._stop_sending()
        line = self.line
        attempt = self.attempt
        if line is not None:
            attempt.bytes_sent = line.stream.sent - line.mark
            if attempt.response_time is None:
                attempt.response_time = line.stream.hot.now - attempt.started
            self.line = None
            line.close()
        elif attempt.response_time is None:
            attempt.response_time = self.stream.hot.now - attempt.started
