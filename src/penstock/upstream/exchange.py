"""One request and the backends it is tried at, until a head has come that may be passed on.

    choose a peer -> take a kept connection or dial -> send head and body -> read the head
                  ^                                                         |
                  +------- failed, and another may be tried ----------------+

A failure is a `ProxyError` that says whether another peer may be tried; whether it is tried depends on the policy, on
what has been sent, and on how often and how long it has been tried already (nginx: ngx_http_upstream_next).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from errno import ECONNRESET
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.http.errors import BadResponse
from penstock.http.request import Attempt
from penstock.net.dial import connect
from penstock.net.errors import DialFailed, NetError, TimedOut
from penstock.net.fiber import Fiber, current
from penstock.net.stream import wait
from penstock.upstream.errors import ClientGone, ProxyError, Retry, Side, failed, timed_out
from penstock.upstream.incoming import Incoming
from penstock.upstream.keepalive import Line
from penstock.upstream.sending import push

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead
    from penstock.net.stream import Stream
    from penstock.upstream.balancers import Selection
    from penstock.upstream.group import Group
    from penstock.upstream.peers import Peer
    from penstock.upstream.policy import Policy
    from penstock.upstream.sending import Outgoing
    from penstock.upstream.wire import Wire

Log: TypeAlias = "Callable[[Request, str, str], None]"
"""Writes a line to the error log: request, level ("error", "warn", ...), text."""
Secure: TypeAlias = "Callable[[Stream, Request], Awaitable[Stream]]"
"""Begins TLS on a fresh connection. Raises `ProxyError`, with the connection closed."""

RETRIED: dict[int, Retry] = {
    500: "http_500",
    502: "http_502",
    503: "http_503",
    504: "http_504",
    403: "http_403",
    404: "http_404",
    429: "http_429",
}
"""Statuses of an answer that may send a request to another peer."""

NOT_IDEMPOTENT = frozenset({"POST", "LOCK", "PATCH"})
UNWANTED = frozenset({"http_403", "http_404"})
"""Reasons to try another peer that say nothing against this one."""


class Exchange:
    """`head` is the request's head as bytes, `body` what follows it, `asked` the method the backend sees, `label` the
    scheme and URI for the log. `incoming` is the answer's body once `run` is done.
    """

    __slots__ = (
        "_log",
        "asked",
        "attempt",
        "bind",
        "body",
        "fiber",
        "group",
        "head",
        "incoming",
        "label",
        "line",
        "peer",
        "policy",
        "request",
        "secure",
        "selection",
        "sender",
        "sent",
        "started",
        "transparent",
        "wire",
    )

    def __init__(
        self,
        request: Request,
        group: Group,
        policy: Policy,
        wire: Wire,
        head: bytes,
        body: Outgoing,
        label: tuple[str, str],
        log: Log,
        *,
        asked: str,
        secure: Secure | None = None,
        bind: tuple[str, int] | None = None,
        transparent: bool = False,
    ) -> None:
        self.request = request
        self.group = group
        self.policy = policy
        self.wire = wire
        self.head = head
        self.body = body
        self.label = label
        self._log = log
        self.asked = asked
        self.secure = secure
        self.bind = bind
        self.transparent = transparent
        self.selection: Selection = group.select(request)
        self.peer: Peer | None = None
        self.line: Line | None = None
        self.sender: Fiber[None] | None = None
        self.sent = False
        self.incoming: Incoming | None = None
        self.attempt: Attempt
        self.started = 0.0
        self.fiber: Fiber[object]

    async def run(self) -> ResponseHead:
        """The head to pass on; `incoming` has the body. Raises `ProxyError` when all that may be tried has failed."""
        request = self.request
        policy = self.policy
        client: Stream = request.connection.stream
        self.started = client.hot.now
        self.fiber = current()
        if not policy.ignore_client_abort:
            client.on_hangup = self._client_gone
        if policy.next_tries and self.selection.tries > policy.next_tries:
            self.selection.tries = policy.next_tries
        attempts = request.attempts
        if attempts is None:
            request.attempts = []
        elif attempts:
            attempts[-1].redirected = True
        try:
            while True:
                try:
                    head = await self._try(client.hot.now)
                except ProxyError as error:
                    if not self._failed(error):
                        raise
                    continue
                if head.status >= 300 and self._unwanted(head):
                    continue
                return head
        except BaseException:
            self.abandon()
            raise

    def log(self, request: Request, level: str, text: str) -> None:
        """Write a line to the error log that names the backend."""
        scheme, uri = self.label
        request.upstream_url = f"{scheme}{self.attempt.address}{uri}"
        self._log(request, level, text)

    def abandon(self) -> None:
        """Drop whatever is under way: nobody wants the answer any more."""
        self._stop_sending()
        client: Stream = self.request.connection.stream
        client.on_hangup = None
        if self.incoming is not None:
            self.incoming.close()
        elif self.peer is not None:
            self._leave()
            self.selection.done(self.peer)
            self.peer = None

    def release(self, reusable: bool) -> None:
        """The answer has been read to its end: the peer is given back, and the connection kept if it may be."""
        client: Stream = self.request.connection.stream
        client.on_hangup = None
        reusable = reusable and self.sender is None
        self._stop_sending()
        line, peer = self.line, self.peer
        if line is None or peer is None:
            return
        self._account(line)
        self.line = self.peer = None
        pool = self.group.pool
        if reusable and pool is not None:
            pool.put(line, self.policy, line.stream.hot.now)
        else:
            line.close()
        self.selection.done(peer)

    def _client_gone(self) -> None:
        self.log(self.request, "info", "client prematurely closed connection, so upstream connection is closed too")
        self.fiber.interrupt(ClientGone(ECONNRESET))

    # -- one attempt ----------------------------------------------------------------------------------------------

    async def _try(self, now: float) -> ResponseHead:
        request = self.request
        policy = self.policy
        peer = self.selection.next(now)
        self.attempt = attempt = Attempt(self.group.name if peer is None else peer.name, now)
        assert request.attempts is not None
        request.attempts.append(attempt)
        self.sent = False
        if peer is None:
            raise ProxyError(Side.UPSTREAM, 502, "", "no live upstreams while connecting to upstream")
        self.peer = peer
        pool = self.group.pool
        line = pool.take(peer.address, policy) if pool is not None else None
        if line is None:
            line = await self._dial(peer, now)
        else:
            attempt.connect_time = 0.0
        self.line = line
        line.requests += 1
        stream = line.stream
        line.mark = stream.sent
        self.sent = True
        body = self.body
        if not body.whole:
            self._start_sending(body.send(stream, self.head, policy.send_timeout))
            return await self._read_head(stream)
        data = self.head + body.inline if body.inline else self.head
        try:
            count = stream.send_now(data)
        except NetError as error:
            raise failed(f"{error} while sending request to upstream", cause=error) from None
        if count != len(data):
            self._start_sending(push(stream, data[count:], policy.send_timeout))
        return await self._read_head(stream)

    async def _dial(self, peer: Peer, now: float) -> Line:
        policy = self.policy
        try:
            stream = await connect(
                peer.address,
                policy.connect_timeout,
                bind=self.bind if not isinstance(peer.address, str) else None,
                transparent=self.transparent,
                keepalive=policy.socket_keepalive,
                rcvbuf=policy.rcvbuf,
                sndbuf=policy.sndbuf,
            )
        except TimedOut as error:
            raise timed_out("connecting to upstream", error) from None
        except DialFailed as error:
            text = f"{error} while connecting to upstream"
            if error.call != "connect":
                raise ProxyError(Side.INTERNAL, 500, "", text, error, "crit") from None
            raise failed(text, cause=error) from None
        if self.secure is not None:
            stream = await self.secure(stream, self.request)
        self.attempt.connect_time = stream.hot.now - now
        return Line(stream, peer.address, stream.hot.now)

    def _start_sending(self, sending: Coroutine[Any, Any, None]) -> None:
        """Send in a fiber of its own, as the answer may come before all is sent."""

        def sent(fiber: Fiber[None]) -> None:
            if self.sender is fiber:
                self.fiber.resume()

        self.sender = sender = Fiber(sending)
        sender.keep_error = True
        sender.resume()
        sender.on_done(sent)

    def _stop_sending(self) -> None:
        sender = self.sender
        if sender is not None:
            self.sender = None
            sender.cancel()

    async def _read_head(self, stream: Stream) -> ResponseHead:
        """Read until a whole head has come that is no interim one. Raises `ProxyError`."""
        policy = self.policy
        attempt = self.attempt
        read_head = self.wire.read_head
        data = b""
        seen = 0
        while True:
            room = policy.head_size - len(data)
            if room <= 0:
                raise failed(
                    "upstream sent too big header while reading response header from upstream",
                    retry="invalid_header",
                )
            got = await self._receive(stream, room)
            attempt.bytes_received += len(got)
            data = data + got if data else got
            while data:
                try:
                    head = read_head(data, seen)
                except BadResponse as error:
                    raise failed(
                        f"{error.reason} while reading response header from upstream",
                        retry="invalid_header",
                        cause=error,
                    ) from None
                if head is None:
                    seen = len(data)
                    break
                if head.status < 200 and head.status != 101:
                    data = data[head.length :]
                    seen = 0
                    continue
                return self._headed(head, stream, data[head.length :] if len(data) > head.length else b"")

    async def _receive(self, stream: Stream, limit: int) -> bytes:
        """What comes next; while the request is still being sent, as long as that takes."""
        try:
            while self.sender is not None:
                sender = self.sender
                if sender.done:
                    self.sender = None
                    self._sent(sender, stream)
                    break
                await wait([stream], [], None)
                early = stream.recv_now(limit) if stream.ready else None
                if early:
                    return early
                if early is not None:
                    raise failed(
                        "upstream prematurely closed connection while sending request to upstream"
                    )
            data = await stream.recv(limit, self.policy.read_timeout)
        except TimedOut as error:
            raise timed_out("reading response header from upstream", error) from None
        except ClientGone:
            raise
        except NetError as error:
            raise failed(f"{error} while reading response header from upstream", cause=error) from None
        if not data:
            raise failed("upstream prematurely closed connection while reading response header from upstream")
        return data

    def _sent(self, sender: Fiber[None], stream: Stream) -> None:
        """All is sent, or sending failed. A backend that refuses a body may have said why before it closed."""
        try:
            sender.outcome()
        except ProxyError as error:
            if error.retry != "error":
                raise
            try:
                data = stream.recv_now()
            except NetError:
                raise error from None
            if not data:
                raise
            stream.unread(data)

    def _headed(self, head: ResponseHead, stream: Stream, rest: bytes) -> ResponseHead:
        attempt = self.attempt
        attempt.header_time = stream.hot.now - attempt.started
        attempt.status = head.status
        request = self.request
        request.upstream_head = head
        if head.version == 9:
            self.log(
                request,
                "error",
                "upstream sent no valid HTTP/1.0 header while reading response header from upstream",
            )
        self.incoming = Incoming(self, head, rest)
        return head

    # -- what becomes of an attempt -----------------------------------------------------------------------------

    def _failed(self, error: ProxyError) -> bool:
        """Log a failure, charge it to the peer. Whether another attempt is to be made."""
        request = self.request
        line = self.line
        if error.text:
            self.log(request, error.level, error.text)
        reused = line is not None and line.reused
        self._leave()
        self.attempt.status = error.status
        self._give_back(error.retry)
        if reused and error.retry == "error":
            # A kept connection may have been closed while the request was on its way: that costs no try.
            self.selection.tries += 1
        return self._may_try_again(error.retry)

    def _unwanted(self, head: ResponseHead) -> bool:
        """Whether an answer is to be dropped, and another peer tried, because of its status."""
        retry = RETRIED.get(head.status)
        if retry is None or self.selection.tries <= 1 or not self._allowed(retry):
            return False
        self.incoming = None
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
        elif self.selection.failed(peer, self.request.connection.stream.hot.now):
            self.log(self.request, "warn", "upstream server temporarily disabled")

    def _may_try_again(self, retry: Retry) -> bool:
        return self.selection.tries > 0 and self._allowed(retry)

    def _allowed(self, retry: Retry) -> bool:
        policy = self.policy
        if not retry or retry not in policy.next:
            return False
        if self.sent and self.request.method in NOT_IDEMPOTENT and "non_idempotent" not in policy.next:
            return False
        if self.sent and not self.body.replayable:
            return False
        now = self.request.connection.stream.hot.now
        return not policy.next_timeout or now - self.started < policy.next_timeout

    def _leave(self) -> None:
        """Close the connection of this attempt."""
        self._stop_sending()
        line = self.line
        attempt = self.attempt
        if line is not None:
            self._account(line)
            self.line = None
            line.close()
        elif attempt.response_time is None:
            attempt.response_time = self.request.connection.stream.hot.now - attempt.started

    def _account(self, line: Line) -> None:
        attempt = self.attempt
        attempt.bytes_sent = line.stream.sent - line.mark
        if attempt.response_time is None:
            attempt.response_time = line.stream.hot.now - attempt.started
