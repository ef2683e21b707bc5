"""What `metrics` shows, counted by every worker and summed over all of them. Nothing is counted where nobody asks.

Each worker has a row of shared memory (`plan/rows.py`), in which every figure has its place (`figures.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from penstock.net.timers import Alarm
from penstock.observe.figures import (
    DURATION,
    HANDSHAKE,
    LASTING,
    PING,
    PLACES,
    REASONS,
    SIDES,
    WIDTH,
    Histogram,
    code_of,
    side_of,
    status_class,
)
from penstock.plan.rows import Row, Rows

if TYPE_CHECKING:
    from penstock.net.loop import Loop

TELL = 1.0
"""Seconds after which siblings know what has become of this worker's figures."""
SHARE = 200
"""Telling takes at most one part in so many of a worker's time: with very many tunnels it is done less often."""

_OPENED = PLACES["tunnels_opened",]
_MESSAGES_IN, _MESSAGES_OUT = PLACES["tunnel_messages", "in"], PLACES["tunnel_messages", "out"]
_BYTES_IN, _BYTES_OUT = PLACES["tunnel_bytes", "in"], PLACES["tunnel_bytes", "out"]
_OPEN, _WORKERS = PLACES["tunnels_open",], PLACES["workers",]


def new_rows() -> Rows:
    """Memory for all workers, to be made before they are forked."""
    return Rows("metrics", WIDTH, LASTING)


class Meters:
    """One worker's figures. `of` gives the same for every configuration that shares the memory."""

    _own: Meters | None = None

    def __init__(self, rows: Rows, row: Row, loop: Loop) -> None:
        self.rows = rows
        self._row = row
        self._loop = loop
        self._figures = [0] * WIDTH
        self._figures[_WORKERS] = 1
        self._alarm = Alarm(loop.timers, self._due)
        self._due()

    @classmethod
    def of(cls, rows: Rows, loop: Loop) -> Meters | None:
        """This process's; None where there is no room for another worker."""
        own = cls._own
        if own is None or own.rows is not rows or own._loop is not loop:
            row = rows.share()
            own = cls._own = None if row is None else cls(rows, row, loop)
        return own

    # -- what happens

    def opened(self, handshake: float) -> None:
        """A tunnel; its handshake took so many seconds."""
        self._figures[_OPENED] += 1
        self._time(HANDSHAKE, handshake)

    def ended(self, tunnel: Any, reason: str, conversation: Any) -> None:
        """A tunnel has ended: `reason` is the name of its `net.tunnel.End`, `conversation` None where frames were not
        looked at."""
        figures = self._figures
        _add(figures, tunnel, conversation, 1)
        by, code = side_of(reason), "none"
        word = reason.lower()
        if conversation is not None:
            word = conversation.end_reason or word
            if conversation.close_code is not None:
                code = code_of(conversation.close_code)
                by = conversation.close_from or by
        figures[PLACES["tunnels_closed", by if by in SIDES else "proxy", code]] += 1
        figures[PLACES["tunnel_ends", word if word in REASONS else "other"]] += 1
        self._time(DURATION, self._loop.timers.now - tunnel.opened)

    def gave(self, tunnel: Any, conversation: Any) -> None:
        """Another process goes on with a tunnel; what flowed here stays counted here."""
        _add(self._figures, tunnel, conversation, 1)

    def took(self, tunnel: Any, conversation: Any) -> None:
        """We go on with another's tunnel, and count what flows from now on."""
        _add(self._figures, tunnel, conversation, -1)

    def ponged(self, seconds: float) -> None:
        """A peer has answered a ping of ours."""
        self._time(PING, seconds)

    def refused(self, status: int) -> None:
        """A handshake was answered with something else than 101."""
        self._figures[PLACES["handshakes_refused", status_class(status)]] += 1

    def answered(self, status: int) -> None:
        """A request that is over."""
        self._figures[PLACES["http_requests", status_class(status)]] += 1

    def _time(self, histogram: Histogram, seconds: float) -> None:
        at = PLACES[histogram.name]
        self._figures[at + bisect_left(histogram.bounds, seconds)] += 1
        self._figures[at + len(histogram.bounds) + 1] += max(0, round(seconds * 1e6))

    # -- what is told

    def tell(self) -> None:
        """Let everybody know the figures of this moment, with what flows in tunnels that are still open."""
        figures = list(self._figures)
        tunnels = self._loop.tunnels
        figures[_OPEN] = len(tunnels)
        for tunnel in tunnels:
            if tunnel.owner is not None:  # one that another process has not let go yet is still counted there
                _add(figures, tunnel, getattr(tunnel.owner, "conversation", None), 1)
        self._row.tell(figures)

    def sums(self) -> list[int]:
        """Over all workers; our own figures are of this moment."""
        self.tell()
        return self.rows.sums()

    def _due(self) -> None:
        timers = self._loop.timers
        before = self._loop.time()
        self.tell()
        took = self._loop.time() - before
        self._alarm.at(timers.now + max(TELL, took * SHARE))


def _add(figures: list[int], tunnel: Any, conversation: Any, sign: int) -> None:
    """What has flowed in a tunnel."""
    figures[_BYTES_IN] += sign * tunnel.from_client
    figures[_BYTES_OUT] += sign * tunnel.from_backend
    if conversation is not None:
        figures[_MESSAGES_IN] += sign * conversation.messages_in
        figures[_MESSAGES_OUT] += sign * conversation.messages_out
