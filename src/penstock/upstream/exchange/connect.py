"""An exchange that ends where others begin: all that is wanted of the backend is the connection (CONNECT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.response import ResponseHead
from penstock.net.datagram import datagrams
from penstock.net.errors import DialFailed
from penstock.upstream.errors import failed
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.peers.keepalive import KeptConnection

if TYPE_CHECKING:
    from penstock.net.stream import Stream


class Connecting(Exchange):
    """An exchange that sends and reads nothing: as soon as a peer is reached, the answer is 200 (RFC 9110, section
    9.3.6).

    Always a fresh connection: a kept one has had another conversation.
    """

    __slots__ = ()
    reuses = False

    def _send(self, stream: Stream) -> bool:
        return False

    async def _head(self, stream: Stream) -> ResponseHead:
        return ResponseHead(200, "OK", 11, [], {})


class DatagramConnecting(Connecting):
    """The same for datagrams: a socket that takes them from one peer alone, which nobody has to be asked for."""

    __slots__ = ()

    async def _dial(self, now: float) -> Stream:
        peer = self.peer
        assert peer is not None
        local, policy = self.bind, self.policy
        try:
            stream = datagrams(
                peer.address,
                self.stream.loop,
                bind=None if local is None else local.address,
                rcvbuf=policy.rcvbuf,
                sndbuf=policy.sndbuf,
            )
        except DialFailed as error:
            raise failed(f"{error} while connecting to upstream", cause=error) from None
        self.attempt.connect_time = 0.0
        return self.taken(KeptConnection(stream, peer.address, now))
