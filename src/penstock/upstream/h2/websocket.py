"""A WebSocket over HTTP/2 to a backend (RFC 8441): an extended CONNECT, where the backend takes one.

One that does not gets the handshake of HTTP/1.1, on a connection of its own, and it is remembered that it does not:
its settings say so, or it does not speak HTTP/2 at all.
What comes back is a 101 in either case: a 200 to the CONNECT is put in the words of HTTP/1.1, with an answer to the
client's key, so that nobody behind here needs to know which it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.http.fields import first_values
from penstock.http.response import ResponseHead
from penstock.net.errors import NetError, TlsFailed
from penstock.net.h2.client import NOT_HTTP2, ClientLane, Given
from penstock.upstream.errors import ProxyError
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.exchange.queued import peer_in_time
from penstock.upstream.exchange.reading import read_head
from penstock.upstream.exchange.wire import HTTP1
from penstock.upstream.h2.connections import WAITING
from penstock.upstream.h2.exchange import SENDING, Http2Exchange, Http2Prepared
from penstock.websocket.handshake import accept_key

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.outgoing import Local, Secure
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.exchange.sending import OutgoingBody
    from penstock.upstream.h2.connections import BackendConnection

NO_PROTOCOL = "NO_APPLICATION_PROTOCOL"
_OF_HTTP1 = frozenset(("content-length", "sec-websocket-accept"))


@dataclass(slots=True)
class Handshake(Http2Prepared):
    """`secure_http1` begins TLS where HTTP/1.1 is to be spoken."""

    secure_http1: Secure | None = None


class Http2Handshake(Http2Exchange):
    """As `Http2Exchange`. `http1`: this attempt is one of HTTP/1.1. `unsure`: it may be that HTTP/2 would have done."""

    __slots__ = ("_over_http1", "_over_http2", "http1", "unsure")

    plan: Handshake

    def __init__(
        self, request: Request, plan: Handshake, policy: Policy, body: OutgoingBody, bind: Local | None = None
    ) -> None:
        super().__init__(request, plan, policy, body, bind)
        self._over_http2 = policy
        self._over_http1 = replace(policy, wire=HTTP1)
        self.http1 = self.unsure = False

    async def _dial(self, now: float) -> Stream:
        peer = self.peer
        if peer is None:
            peer, _ = await peer_in_time(self)
            now = self.attempt.started
        self.unsure = False
        self._speak(http1=self.links.without(peer.address, now))
        if not self.http1:
            link = await self._willing(now)
            if link is not None:
                return self._begun(link)
            if not self.unsure:
                self.links.remember(peer.address, now)
            self._speak(http1=True)
        secure, self.plan.secure = self.plan.secure, self.plan.secure_http1
        try:
            return await Exchange._dial(self, now)
        finally:
            self.plan.secure = secure

    def _speak(self, *, http1: bool) -> None:
        self.http1 = http1
        self.policy = self._over_http1 if http1 else self._over_http2

    async def _willing(self, now: float) -> BackendConnection | None:
        """Find a connection on which the backend takes an extended CONNECT; None if it does not. Raises `ProxyError`.
        """
        while True:
            try:
                link, _ = await self._link(now)
            except ProxyError as error:
                cause = error.cause
                if isinstance(cause, TlsFailed) and cause.reason.endswith(NO_PROTOCOL):
                    return None
                if isinstance(cause, Given):
                    self._silent(cause.words)
                    return None
                raise
            await link.settings(self.policy.connect_timeout)
            if not link.known:
                self._silent(link.why or "upstream sent goaway")
                return None
            if not link.extended:
                return None
            if link.usable:
                return link

    def _silent(self, why: str) -> None:
        """A connection ended before the backend had said a word of HTTP/2: many that know HTTP/1.1 alone hang up. That
        is remembered once the other way has worked."""
        self.unsure = why != NOT_HTTP2
        if self.unsure:
            self.log("info", f"{why} while {WAITING}, the WebSocket is asked for over HTTP/1.1")

    def _send(self, stream: Stream) -> bool:
        if self.http1:
            Exchange._send(self, stream)
            return False
        assert isinstance(stream, ClientLane)
        self.sent = True
        try:
            stream.head(self.plan.fields)
        except NetError as error:
            raise self._lost(stream, SENDING, error) from None
        return False

    async def _head(self, stream: Stream) -> ResponseHead:  # type: ignore[override]
        if self.http1:
            head: ResponseHead = await read_head(self, stream, b"")
            if self.unsure and head.status == 101 and self.peer is not None:
                self.links.remember(self.peer.address, stream.hot.now)
            return head
        head = await super()._head(stream)
        return self._switched(head) if 200 <= head.status < 300 else head

    def _switched(self, head: ResponseHead) -> ResponseHead:
        headers = [pair for pair in head.headers if pair[0] not in _OF_HTTP1]
        headers += (("Upgrade", "websocket"), ("Connection", "upgrade"))
        key = self.request.head.fields.get("sec-websocket-key")
        if key is not None:
            headers.append(("Sec-WebSocket-Accept", accept_key(key)))
        return ResponseHead(101, "101 Switching Protocols", 11, headers, first_values(headers))
