"""A backend that said 101: its stream, on its way to becoming one half of a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.net.stream import Stream
    from penstock.upstream.exchange import Exchange


class Upgrade:
    """What the tunnel needs of the backend. The peer's slot stays taken until `ended` or `close`.

    `rest` are bytes that came behind the head. Timeouts are seconds: `read_timeout` for silence, `send_timeout` for
    a backend that takes nothing.
    """

    __slots__ = ("_exchange", "_sent_before", "read_timeout", "rest", "send_timeout", "stream")

    def __init__(self, exchange: Exchange, rest: bytes) -> None:
        line = exchange.line
        assert line is not None
        self._exchange = exchange
        self.stream: Stream = line.stream
        self.rest = rest
        self.read_timeout = exchange.policy.read_timeout
        self.send_timeout = exchange.policy.send_timeout
        self._sent_before = line.stream.sent - line.mark

    def ended(self, from_client: int, from_backend: int) -> None:
        """The tunnel has ended, after so many bytes from either side; its sockets are closed."""
        exchange = self._exchange
        attempt = exchange.attempt
        attempt.bytes_sent = self._sent_before + from_client
        attempt.bytes_received += from_backend
        self._give_back()

    def close(self) -> None:
        """There will be no tunnel."""
        self.stream.close()
        self._exchange.attempt.bytes_sent = self._sent_before
        self._give_back()

    def _give_back(self) -> None:
        exchange = self._exchange
        attempt = exchange.attempt
        if attempt.response_time is None:
            attempt.response_time = self.stream.hot.now - attempt.started
        peer, exchange.peer, exchange.line = exchange.peer, None, None
        if peer is not None:
            exchange.selection.done(peer)
