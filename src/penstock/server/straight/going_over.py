"""Where a request leaves the straight way: what is unusual, and what goes wrong, goes over to the general transaction.
"""

from __future__ import annotations

from collections.abc import Coroutine
from errno import ECONNRESET
from typing import TYPE_CHECKING, Any

from penstock.http.request import Attempt, Outcome, Request
from penstock.net.errors import NetError, TimedOut
from penstock.net.fiber import Cancelled
from penstock.server.straight.begun import giving, raised
from penstock.server.straight.judged import give_up
from penstock.upstream.errors import ClientGone, timed_out
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.exchange.reading import DOING, not_read
from penstock.upstream.exchange.sending import NOTHING

if TYPE_CHECKING:
    from penstock.net.stream import Stream
    from penstock.plan.later import Later
    from penstock.server.straight.client import StraightConnection
    from penstock.server.straight.way import Way
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.peers.balancers import PeerSelection
    from penstock.upstream.peers.keepalive import KeptConnection
    from penstock.upstream.peers.peers import Peer


class GoingOver(Request):
    """A request on the straight way as the general transaction takes it over. `policy`, `attempt`, `peer`, `line` and
    `selection` are as an `Exchange` has them; `stream` is the backend's while it is being connected to, `written` the
    head that it gets. It is called when the client hangs up."""

    __slots__ = ("attempt", "later", "line", "peer", "selection", "sent", "stream", "way", "written")

    connection: StraightConnection
    attempt: Attempt
    later: Later[Outcome] | None
    """What a judge will say who is waited for."""
    line: KeptConnection | None
    peer: Peer | None
    selection: PeerSelection | None
    sent: bool
    stream: Stream | None
    way: Way
    written: bytes

    @property
    def policy(self) -> Policy:
        """Return what is to be observed towards backends."""
        return self.way.policy

    # -- what the backend's stream, the alarm and the client's stream tell

    def stumble(self, error: Exception) -> None:
        """Let the general transaction deal with an error, and with a peer that has been chosen."""
        if self.peer is not None:
            self._fail(error)
        else:
            self.over(raised(error))

    def interrupt(self, error: BaseException) -> None:
        """Give up: the backend's stream can not be used any more."""
        if self.line is not None or self.stream is not None:
            self._fail(not_read(error) if isinstance(error, NetError) else error)

    def late(self) -> None:
        """Give up: it takes the backend too long."""
        doing = DOING if self.stream is None else "connecting to upstream"
        self._stop_dialling()
        self._fail(timed_out(doing, TimedOut()))

    def end(self) -> None:
        """End it, as its connection is closed under it."""
        self._stop_dialling()
        give_up(self, Cancelled())

    def _stop_dialling(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            stream._writer = None
            stream.close()

    def __call__(self) -> None:
        """Give up: the client has gone."""
        self._stop_dialling()
        exchange = self._exchange(ClientGone(ECONNRESET))
        exchange.log("info", "client prematurely closed connection, so upstream connection is closed too")
        self.over(self.way.passing.carry_on(self, exchange))

    # -- over to the general transaction

    def over(self, begun: Coroutine[Any, Any, Outcome]) -> None:
        """Go over to the general transaction, which goes on with what `begun` comes to."""
        self.connection.go_over(self, begun)

    def _fail(self, error: BaseException) -> None:
        self.over(self.way.passing.carry_on(self, self._exchange(error)))

    def _exchange(self, begun: Stream | BaseException | None = None) -> Exchange:
        """The exchange that goes on with this: from a stream, from a failure, or without a peer."""
        selection, self.selection = self.selection, None  # which has the request, as the request has it
        prepared = self.way.content.prepared(self, self.written)
        prepared.selection = selection
        exchange = Exchange(self, prepared, self.policy, NOTHING)
        if begun is not None:
            exchange.peer, self.peer = self.peer, None
            exchange.line, self.line = self.line, None
            exchange.attempt = self.attempt
            exchange.started = self.attempt.started
            exchange.sent = self.sent
            exchange.begun = giving(begun)
        return exchange
