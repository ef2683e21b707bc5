"""What is left of a session while the relay has its streams: as of a request that became a tunnel, and what streams
count for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from penstock.config.addresses import address_text
from penstock.net.relay.throttle import Throttle
from penstock.net.relay.tunnel import End, Send, Tunnel
from penstock.observe.errorlog import INFO, hears, report
from penstock.server.tunnel.ending import Ending, explain

if TYPE_CHECKING:
    from penstock.http.request import Attempt
    from penstock.modules.stream.session import StreamSession
    from penstock.server.connection import Connection
    from penstock.upstream.exchange.upgrade import Upgrade


class StreamEnding(Ending):
    """`received` counts bytes from the client, `rates` limit both ways in bytes a second (0: not). `timed`: somebody
    wants to know when the backend said its first word."""

    __slots__ = ("rates", "received", "timed")

    bare = True
    late_names: ClassVar[tuple[str, ...]] = (*Ending.late_names, "received")

    def __init__(
        self,
        connection: Connection,
        session: StreamSession,
        upgraded: Upgrade,
        rates: tuple[int, int] | None = None,
        *,
        timed: bool = False,
    ) -> None:
        super().__init__(
            connection, session, upgraded, session.server.name or address_text(connection.listen.address)
        )
        self.received = session.received
        self.rates = rates
        self.timed = timed

    def watch(self, tunnel: Tunnel) -> None:
        """Take part in a tunnel before any byte moves."""
        self.hold_back(tunnel)
        if self.timed and self.attempts:
            _note_first_byte(tunnel, self.attempts[-1])

    def hold_back(self, tunnel: Tunnel) -> None:
        """Keep to the rates."""
        for side, rate in zip((tunnel.client, tunnel.backend), self.rates or (), strict=False):
            if rate:
                Throttle(side, rate)

    def _count(self, from_client: int, from_backend: int) -> None:
        super()._count(from_client, from_backend)
        self.received += from_client

    def _explain(self, tunnel: Tunnel, reason: End) -> None:
        """As nginx, not as a warning: nobody is told to keep a stream awake."""
        explain(self.subject, "proxy_timeout", tunnel, reason, INFO)
        if hears(self.subject, INFO):
            text = f"{reason.value}, bytes from/to client:{self.received}/{self.bytes_sent}"
            if self.attempts:
                attempt = self.attempts[-1]
                text += f", bytes from/to upstream:{attempt.bytes_received}/{attempt.bytes_sent}"
            report(self.subject, INFO, text)

    def _book(self, tunnel: Tunnel, reason: End) -> None:
        """Count it. How long streams live is their own business."""
        meters = self.service.meters
        if meters is not None:
            meters.ended(tunnel, reason.name, None)


def _note_first_byte(tunnel: Tunnel, attempt: Attempt) -> None:
    """Note when the backend says its first word, and look no more at what it says."""

    def make(send: Send) -> Send:
        def first(data: Any) -> int:  # a view into the relay's buffer
            if attempt.header_time is None:
                attempt.header_time = tunnel.loop.hot.now - attempt.started
                tunnel.loop.call_soon(_look_no_more, tunnel)
            return send(data)

        return first

    tunnel.tap(tunnel.backend, make)


def _look_no_more(tunnel: Tunnel) -> None:
    if tunnel.reason is None and not tunnel.paused:
        tunnel.tap(tunnel.backend, None)
