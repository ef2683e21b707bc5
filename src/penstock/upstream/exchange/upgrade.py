"""A backend that said 101, or was reached for a CONNECT: its stream, on its way to becoming one half of a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from penstock.http.request import Attempt
    from penstock.net.dial import Address
    from penstock.net.loop import HotSelector
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.peers.balancers import PeerSelection
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.keepalive import KeptConnection
    from penstock.upstream.peers.peers import Peer


Parts = tuple[str | int, ...]


def address_parts(address: Address) -> Parts:
    """Return a peer's address as processes tell it: host and port, or the path of a unix socket."""
    return (address,) if isinstance(address, str) else (address[0], address[1])


class Switching(Protocol):
    """Who has the backend that said 101, and gives it away: an `Exchange`, or what stands for one. `selection` is None
    where there was no choice."""

    line: KeptConnection | None
    peer: Peer | None

    @property
    def attempt(self) -> Attempt:
        """Return the attempt that led to the backend: logs show its times and bytes."""
        ...

    @property
    def policy(self) -> Policy:
        """Return the settings by which it was asked."""
        ...

    @property
    def selection(self) -> PeerSelection | None:
        """Return the choice among peers that the backend came from; None where there was none."""
        ...


class TakenPeer:
    """The peer of a tunnel: its slot stays taken until `ended` or `leave`. `module` begins the names of the directives
    that set its timeouts."""

    __slots__ = ("_attempt", "_group", "_hot", "_peer", "_selection", "_sent", "module")

    def __init__(
        self,
        attempt: Attempt,
        peer: Peer,
        group: Group,
        selection: PeerSelection | None,
        hot: HotSelector,
        sent: int,
        module: str,
    ) -> None:
        """Take the slot that a peer was given for an attempt; `sent` bytes went to it so far."""
        self._attempt = attempt
        self._group = group
        self._selection = selection
        self._peer: Peer | None = peer
        self._hot = hot
        self._sent = sent
        self.module = module

    @property
    def peer(self) -> Peer | None:
        """Return who has the slot; None once it was given back, or where this configuration knows no such peer."""
        return self._peer

    @property
    def declared(self) -> bool:
        """Return whether the configuration names the peer: not if a variable did."""
        return self._group.declared

    def blame(self) -> None:
        """Count a failure of the peer, in place of giving it back well."""
        peer, self._peer = self._peer, None
        if peer is not None and self._selection is not None:
            self._selection.failed(peer, self._hot.now)
        elif peer is not None:
            peer.failures += 1
            peer.done_alone()

    def proved(self) -> None:
        """Take it that the peer is well again, as it has taken the connection: nobody else will say so for long."""
        peer = self._peer
        if peer is not None and self._selection is not None and not self._selection.set.single:
            peer.did_well()

    def release(self) -> None:
        """Keep nothing that the end does not need."""
        if self._selection is not None:
            assert self._peer is not None
            self._selection.make_final(self._peer)

    def count_before(self, sent: int) -> None:
        """Count bytes that the backend had before the client's first."""
        self._sent += sent

    def count_from(self, from_client: int, from_backend: int) -> None:
        """Leave out so many bytes of what `ended` will be told: others had them."""
        self._sent -= from_client
        self._attempt.bytes_received -= from_backend

    def ended(self, from_client: int = 0, from_backend: int = 0) -> None:
        """Count what was sent, and give the peer back: the tunnel has ended, after so many bytes from either side."""
        attempt = self._attempt
        attempt.bytes_sent = self._sent = self._sent + from_client
        attempt.bytes_received += from_backend
        if attempt.response_time is None:
            attempt.response_time = self._hot.now - attempt.started
        peer, self._peer = self._peer, None
        if peer is None:
            return
        if self._selection is None:
            peer.done_alone()
        else:
            self._selection.done(peer)

    def state(self) -> dict[str, object]:
        """Return what a process needs that goes on with the tunnel: group and address of the peer, and what was sent.
        """
        group, peer = self._place()
        return {"group": group, "peer": list(peer), "sent": self._sent, "module": self.module}

    def _place(self) -> tuple[str, Parts]:
        assert self._peer is not None
        return self._group.name, address_parts(self._peer.address)

    def leave(self) -> None:
        """Give the peer back without judging it: the tunnel has gone to another process."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.active -= 1


class Upgrade(TakenPeer):
    """The backend of a tunnel, as far as a tunnel needs it. The peer's slot stays taken until `ended` or `close`.

    `rest` are bytes that came behind the head. Timeouts are seconds: `read_timeout` for silence, `send_timeout` for
    a backend that takes nothing.
    """

    __slots__ = ("read_timeout", "rest", "send_timeout", "stream")

    def __init__(self, exchange: Switching, group: Group, rest: bytes) -> None:
        line, peer = exchange.line, exchange.peer
        assert line is not None and peer is not None
        exchange.line = exchange.peer = None
        stream, policy = line.stream, exchange.policy
        sent = stream.sent - line.mark
        super().__init__(exchange.attempt, peer, group, exchange.selection, stream.hot, sent, policy.module)
        self.stream: Stream | None = stream
        self.rest = rest
        self.read_timeout = policy.read_timeout
        self.send_timeout = policy.send_timeout

    def release(self) -> None:
        """Keep nothing that the end does not need: the relay has the stream."""
        self.stream = None
        self.rest = b""
        super().release()

    def close(self) -> None:
        """Give the peer back: there will be no tunnel."""
        if self.stream is not None:
            self.stream.close()
        self.ended()
