"""A backend that said 101, or was reached for a CONNECT: its stream, on its way to becoming one half of a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.net.dial import Address
    from penstock.net.stream import Stream
    from penstock.upstream.exchange import Exchange
    from penstock.upstream.peers import Peer


Parts = tuple[str | int, ...]


def address_parts(address: Address) -> Parts:
    """A peer's address as processes tell it: host and port, or the path of a unix socket."""
    return (address,) if isinstance(address, str) else (address[0], address[1])


class Upgrade:
    """What the tunnel needs of the backend. The peer's slot stays taken until `ended` or `close`.

    `rest` are bytes that came behind the head. Timeouts are seconds: `read_timeout` for silence, `send_timeout` for
    a backend that takes nothing; `module` begins the names of the directives that set them.
    """

    __slots__ = (
        "_attempt",
        "_hot",
        "_peer",
        "_selection",
        "_sent",
        "module",
        "read_timeout",
        "rest",
        "send_timeout",
        "stream",
    )

    def __init__(self, exchange: Exchange, rest: bytes) -> None:
        line, peer = exchange.line, exchange.peer
        assert line is not None and peer is not None
        exchange.line = exchange.peer = None
        self._attempt = exchange.attempt
        self._selection = exchange.selection
        self._peer: Peer | None = peer
        self._hot = line.stream.hot
        self._sent = line.stream.sent - line.mark
        self.stream: Stream | None = line.stream
        self.rest = rest
        self.module = exchange.policy.module
        self.read_timeout = exchange.policy.read_timeout
        self.send_timeout = exchange.policy.send_timeout

    def settle(self) -> None:
        """The relay has the stream: keep nothing that the end does not need."""
        self.stream = None
        self.rest = b""
        self._selection.settle()

    def ended(self, from_client: int, from_backend: int) -> None:
        """The tunnel has ended, after so many bytes from either side; its sockets are closed."""
        self._sent += from_client
        self._attempt.bytes_received += from_backend
        self._give_back()

    def close(self) -> None:
        """There will be no tunnel."""
        if self.stream is not None:
            self.stream.close()
        self._give_back()

    def state(self) -> dict[str, Any]:
        """For a process that goes on with the tunnel: the group and the address of the peer, and what was sent."""
        group, peer = self._place()
        return {"group": group, "peer": list(peer), "sent": self._sent, "module": self.module}

    def _place(self) -> tuple[str, Parts]:
        assert self._peer is not None
        return self._selection.group.name, address_parts(self._peer.address)

    def leave(self) -> None:
        """The tunnel has gone to another process: the peer is given back here, and not judged."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.active -= 1

    def _give_back(self) -> None:
        attempt = self._attempt
        attempt.bytes_sent = self._sent
        if attempt.response_time is None:
            attempt.response_time = self._hot.now - attempt.started
        peer, self._peer = self._peer, None
        if peer is not None:
            self._selection.done(peer)
