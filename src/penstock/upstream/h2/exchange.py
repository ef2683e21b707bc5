"""An exchange over HTTP/2: each attempt is a stream of a connection that others may have streams on, too.

What may be tried again is as with HTTP/1.1, but for one thing: where a backend says that it has not looked at a request
(REFUSED_STREAM, or GOAWAY from before it), that holds for any method, and says nothing against the backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse, excerpt
from penstock.http.h2.fields import field
from penstock.http.h2.response_head import response_head
from penstock.net.errors import NetError, TimedOut
from penstock.net.h2.client import ClientLane, Given
from penstock.upstream.errors import ClientGone, ProxyError, failed, timed_out
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.exchange.outgoing import Prepared
from penstock.upstream.exchange.queued import peer_in_time
from penstock.upstream.exchange.reading import DOING, EARLY_HINTS
from penstock.upstream.exchange.sending import Streamed, push
from penstock.upstream.h2.connections import BackendConnection, Links, links_of
from penstock.upstream.h2.framing import Http2ResponseHead
from penstock.upstream.peers.keepalive import KeptConnection

if TYPE_CHECKING:
    from collections.abc import Hashable

    from penstock.http.fields import Headers
    from penstock.http.request import Request, RequestBody
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.outgoing import Local
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.exchange.sending import OutgoingBody

AGAIN = 2
"""How often a request that nobody has looked at is sent again without costing a try."""
TURNS = 20
"""How often in all, where the connection was ended behind requests of others. A server that takes a few requests on
each connection gives the rest back, and they come again together: somebody is the last one of them each time."""
SENDING = "sending request to upstream"


@dataclass(slots=True)
class Http2Prepared(Prepared):
    """`fields` is the head as HPACK writes it, without the length: that is `length`, None where it is not known or not
    to be said. `head` is the same in HTTP/1.1, where that may be needed. `identity` tells connections apart."""

    fields: bytes = b""
    length: int | None = None
    identity: tuple[str, ...] = ()


class Http2Exchange(Exchange):
    """An `Exchange` over HTTP/2; `line.stream` is a stream of a connection."""

    __slots__ = ("refused", "turns")

    reuses = False
    """The pool of the group holds connections of HTTP/1.1."""
    plan: Http2Prepared

    def __init__(
        self, request: Request, plan: Http2Prepared, policy: Policy, body: OutgoingBody, bind: Local | None = None
    ) -> None:
        super().__init__(request, plan, policy, body, bind)
        self.refused = 0
        self.turns = 0

    # -- a stream

    @property
    def links(self) -> Links:
        """Return the connections of the group."""
        return links_of(self.plan.group)

    def _key(self) -> Hashable:
        assert self.peer is not None
        pool = self.plan.group.pool
        owner = self.policy.owner if pool is None or pool.options.local else None
        return self.peer.address, owner, self.plan.secure is not None, self.plan.identity, self.bind

    async def dial(self) -> KeptConnection:
        """Connect to the peer that was chosen; the connection will be shared. Raises `ProxyError`."""
        await super()._dial(self.stream.hot.now)
        line, self.line = self.line, None
        assert line is not None
        return line

    async def _dial(self, now: float) -> Stream:
        if self.peer is None:
            await peer_in_time(self)
            now = self.attempt.started
        link, _ = await self._link(now)
        return self._begun(link)

    async def _link(self, now: float) -> tuple[BackendConnection, bool]:
        assert self.peer is not None
        link, reused = await self.links.find(self, self.peer.address, self._key())
        self.attempt.connect_time = 0.0 if reused else self.stream.hot.now - now
        return link, reused

    def _begun(self, link: BackendConnection) -> Stream:
        assert self.peer is not None
        used = link.opened_count > 0
        lane = link.open()
        line = KeptConnection(lane, self.peer.address, self.stream.hot.now)  # type: ignore[arg-type]
        line.reused = used
        return self.taken(line)

    def release(self, *, reusable: bool) -> None:
        """Give the peer back, as `Exchange.release`: the stream has had its use, the connection is not ours to keep."""
        super().release(reusable=False)

    # -- out

    def _send(self, stream: Stream) -> bool:
        lane = stream
        assert isinstance(lane, ClientLane)
        plan, body = self.plan, self.body
        self.sent = True
        block = plan.fields
        if plan.length is not None and (not body.whole or plan.length == len(body.inline)):
            block += field("content-length", str(plan.length))
        data = body.inline
        empty = body.whole and not data
        try:
            lane.head(block, ended=empty, flush=empty)
            if not body.whole:
                self._start_sending(self._send_body(lane))
                return False
            count = lane.send_now(data, ended=True) if data else 0
        except NetError as error:
            raise self._lost(lane, SENDING, error) from None
        if count < len(data):
            self._start_sending(self._push(lane, data[count:]))
        return False

    async def _send_body(self, lane: ClientLane) -> None:
        if not isinstance(self.body, Streamed):
            await self.body.send(lane, b"", self.policy.send_timeout)  # type: ignore[arg-type]
            await self._push(lane, b"")
            return
        into = EndingLane(lane, self.request.body)
        await self.body.send(into, b"", self.policy.send_timeout)  # type: ignore[arg-type]
        if not into.ended:
            await self._push(lane, b"")

    async def _push(self, lane: ClientLane, data: bytes) -> None:
        """Send the rest, and say that it was all."""
        if data:
            await push(lane, data, self.policy.send_timeout)  # type: ignore[arg-type]
        try:
            lane.send_now(b"", ended=True)
        except NetError as error:
            raise self._lost(lane, SENDING, error) from None

    # -- in

    async def _head(self, stream: Stream) -> Http2ResponseHead:
        lane = stream
        assert isinstance(lane, ClientLane)
        hinted = 0
        while True:
            if lane.heads:
                pairs, size = lane.heads.popleft()
                self.attempt.bytes_received += size
                head = self._parsed(pairs, lane)
                if head.status >= 200:
                    if lane.ended and not lane.trailers and lane.inbox:
                        self.rest = lane.taken(lane.held) if len(lane.inbox) == 1 else b"".join(_all(lane))
                        self.attempt.bytes_received += len(self.rest)
                    return head
                if head.status == EARLY_HINTS and self.policy.hint is not None:
                    hinted += size
                    if hinted <= self.policy.head_size:
                        await self.policy.hint(self.request, head)
                    else:
                        self.log("info", "upstream sent too big early hints")
                continue
            if lane.inbox:
                raise failed(f"upstream sent unexpected http2 frame: 0 while {DOING}", retry="invalid_header")
            if lane.lost:
                raise self._lost(lane, DOING, lane.fault)
            await self._change(lane)

    async def _change(self, lane: ClientLane) -> None:
        """Wait for something to happen; as long as it takes while the request is still being sent."""
        sender = self.sender
        if sender is not None and sender.done:
            self.sender = None
            try:
                sender.take()
            except ProxyError:
                if not lane.lost:
                    raise
                raise self._lost(lane, SENDING, lane.fault) from None
            return
        try:
            await lane.change(None if sender is not None else self.policy.read_timeout)
        except TimedOut as error:
            link = lane.session
            assert isinstance(link, BackendConnection)
            link.suspect(self.attempt.started)
            raise timed_out(DOING, error) from None
        except ClientGone:
            raise
        except NetError as error:
            raise self._lost(lane, DOING, error) from None

    def _parsed(self, pairs: list[tuple[bytes, bytes]], lane: ClientLane) -> Http2ResponseHead:
        if sum(len(name) + len(value) + 4 for name, value in pairs) > self.policy.head_size:
            raise failed(f"upstream sent too big header while {DOING}", retry="invalid_header")
        try:
            misplaced: Headers = []
            head = response_head(pairs, Http2ResponseHead, misplaced)
        except BadResponse as error:
            raise failed(f"{error.reason} while {DOING}", retry="invalid_header", cause=error) from None
        head.lane = lane
        if misplaced:
            self._say_misplaced(lane, misplaced)
        return head

    def _say_misplaced(self, lane: ClientLane, fields: Headers) -> None:
        """Log it once for each connection: who sends them does so with every answer."""
        link = lane.session
        assert isinstance(link, BackendConnection)
        if not link.misplaced:
            link.misplaced = True
            shown = ", ".join(f'"{excerpt(f"{name}: {value}")}"' for name, value in fields[:3])
            self.log("warn", f"upstream sent {shown}, which HTTP/2 has no place for, ignored while {DOING}")

    def _lost(self, lane: ClientLane, doing: str, error: BaseException | None) -> ProxyError:
        """Say of a stream that it was ended. One that nobody has looked at may be sent again, wherever."""
        fault = lane.fault or error
        if not isinstance(fault, Given):
            return failed(f"{fault} while {doing}", cause=fault)
        if not fault.unprocessed:
            # That a backend refuses one request says nothing about the connection; without one it is gone.
            retry = "error" if lane.session.why else "invalid_header"
            return failed(f"{fault} while {doing}", retry=retry, cause=fault)  # type: ignore[arg-type]
        again = self.body.replayable and self.refused < AGAIN and self.turns < TURNS
        if self.body.replayable:
            self.sent = False
            self.turns += 1
            self.refused += not fault.others
        if self.line is not None:
            self.line.reused = again
        made = failed(f"{fault} while {doing}", cause=fault)
        if again:
            made.level = "info"  # it belongs to the life of a connection, and nobody notices
        return made


class EndingLane:
    """A stream that a body is written to as it arrives: its last bytes say that they are the last, where that is known
    by then."""

    __slots__ = ("_body", "_lane", "ended")

    def __init__(self, lane: ClientLane, body: RequestBody) -> None:
        self._lane = lane
        self._body = body
        self.ended = False

    async def send_all(self, data: bytes, timeout: float) -> None:
        """Send a piece. Raises what the net floor raises."""
        last = self._body.done
        count = self._lane.send_now(data, ended=last)
        if count < len(data):
            await self._lane.send_all(data[count:], timeout)
        else:
            self.ended = last


def _all(lane: ClientLane) -> list[bytes]:
    pieces = []
    while lane.inbox:
        pieces.append(lane.taken(65536))
    return pieces
