"""What `metrics` shows, counted by every worker and summed over all of them. Nothing is counted where nobody asks.

Each worker has a row of shared memory (`shared/rows.py`), in which every figure has its place (`figures.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from penstock.http.request import NO_PEER
from penstock.net.timers import Alarm
from penstock.observe.metric_names import (
    DURATION,
    HANDSHAKE,
    LASTING,
    PEER_LABELS,
    PEER_PLACES,
    PING,
    PLACES,
    REASONS,
    SIDES,
    TRANSPORTS,
    WIDTH,
    Histogram,
    code_of,
    result_of,
    side_of,
    status_class,
)
from penstock.observe.own_process import descriptors, descriptors_limit, resident_bytes
from penstock.shared.labelled_sums import MOST, LabelledSums, Labels, Sums
from penstock.shared.rows import Row, Rows

if TYPE_CHECKING:
    from penstock.http.client import WebSocketView
    from penstock.http.events.live import LiveEventStream
    from penstock.http.request import Attempt
    from penstock.net.loop import Loop
    from penstock.net.relay.tunnel import Tunnel

TELL = 1.0
"""Seconds after which siblings know what has become of this worker's figures."""
NOBODY: Labels = ("", *NO_PEER)
SHARE = 200
"""Telling takes at most one part in so many of a worker's time: with very many tunnels it is done less often."""

_OPENED = PLACES["tunnels_opened",]
_MESSAGES_IN, _MESSAGES_OUT = PLACES["tunnel_messages", "in"], PLACES["tunnel_messages", "out"]
_BYTES_IN, _BYTES_OUT = PLACES["tunnel_bytes", "in"], PLACES["tunnel_bytes", "out"]
_OPEN, _PORTABLE, _WORKERS = PLACES["tunnels_open",], PLACES["tunnels_portable",], PLACES["workers",]
_WORKER_TUNNELS, _RESIDENT = PLACES["worker_tunnels",], PLACES["worker_resident_bytes",]
_DESCRIPTORS, _LIMIT = PLACES["worker_descriptors",], PLACES["worker_descriptors_limit",]
_STREAMS_OPENED, _STREAMS_OPEN = PLACES["event_streams_opened",], PLACES["event_streams_open",]
_EVENTS, _STREAM_BYTES = PLACES["event_stream_events",], PLACES["event_stream_bytes",]
_STREAM_PINGS, _STREAM_REDIALS = PLACES["event_stream_pings",], PLACES["event_stream_redials",]
_BY_TRANSPORT = {name: PLACES["tunnels_by_transport", name] for name in TRANSPORTS}


class FleetFigures(Protocol):
    """What there is to count of a worker's link to the fleet."""

    asked: int
    unanswered: int

    @property
    def up(self) -> bool: ...


def new_rows() -> Rows:
    """Make memory for all workers, before they are forked."""
    return Rows("metrics", WIDTH, LASTING)


def new_labelled() -> LabelledSums:
    """Make the same for what is counted under labels."""
    return LabelledSums("by peer", len(PEER_PLACES), len(PEER_LABELS))


class _OfPeer:
    """What this worker has counted under a set of labels since it was told last, and what is open of it."""

    __slots__ = ("changed", "figures", "open", "place")

    def __init__(self) -> None:
        self.figures = [0] * len(PEER_PLACES)
        self.open = 0
        self.place = -1
        self.changed = False


class Meters:
    """The figures of one worker. `of` gives the same for every configuration that shares the memory."""

    _own: Meters | None = None

    def __init__(self, rows: Rows, labelled: LabelledSums, row: Row, loop: Loop) -> None:
        self.rows = rows
        self.labelled = labelled
        labelled.begin(row.number)
        self._by_labels: dict[Labels, _OfPeer] = {}
        self.fleet: FleetFigures | None = None
        self._row = row
        self._loop = loop
        self._figures = [0] * WIDTH
        self._figures[_WORKERS] = 1
        self._alarm = Alarm(loop.timers, self._due)
        self._due()

    @classmethod
    def of(cls, rows: Rows, labelled: LabelledSums, loop: Loop) -> Meters | None:
        """Return the figures of this process; None if there is no room for another worker."""
        own = cls._own
        if own is None or own.rows is not rows or own._loop is not loop:
            row = rows.share()
            own = cls._own = None if row is None else cls(rows, labelled, row, loop)
        return own

    # -- what happens

    def opened(self, handshake: float) -> None:
        """Count a tunnel; its handshake took so many seconds."""
        self._figures[_OPENED] += 1
        self._time(HANDSHAKE, handshake)

    def tried(self, server: str, attempts: Sequence[Attempt] | None, status: int) -> None:
        """Count a handshake at every peer that was asked; it was answered with this status in the end."""
        if not attempts:
            self._count(("peer_handshakes", result_of(status)), (server, *NO_PEER))
            return
        *earlier, last = attempts
        for attempt in earlier:
            self._count(("peer_handshakes", result_of(attempt.status)), (server, *attempt.label))
        # Over HTTP/2 a backend says 200, and that is a 101.
        result = result_of(101 if status == 101 else last.status)
        self._count(("peer_handshakes", result), (server, *last.label))

    def ended(
        self, tunnel: Tunnel, reason: str, conversation: WebSocketView | None, labels: Labels = NOBODY
    ) -> None:
        """Count a tunnel that has ended: `reason` is the name of its `net.tunnel.End`, `conversation` None where frames
        were not looked at. `labels` are its server, upstream and peer."""
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
        self._count(("peer_tunnel_ends", code), labels)
        self._time(DURATION, self._loop.timers.now - tunnel.opened)

    def stream_opened(self) -> None:
        """Count an event stream."""
        self._figures[_STREAMS_OPENED] += 1

    def stream_ended(self, stream: LiveEventStream) -> None:
        """Count an event stream that has ended, and what has flowed in it."""
        assert stream.reason is not None
        _add_stream(self._figures, stream)
        self._figures[PLACES["event_stream_ends", stream.reason.value]] += 1

    def gave(self, tunnel: Tunnel, conversation: WebSocketView | None) -> None:
        """Let go of a tunnel that another process goes on with; what flowed here stays counted here."""
        _add(self._figures, tunnel, conversation, 1)

    def took(self, tunnel: Tunnel, conversation: WebSocketView | None) -> None:
        """Go on with another's tunnel, and count what flows from now on."""
        _add(self._figures, tunnel, conversation, -1)

    def ponged(self, seconds: float) -> None:
        """Count a ping of ours that a peer has answered."""
        self._time(PING, seconds)

    def redialled(self, result: str) -> None:
        """Count a tunnel that was to have another backend; `result` is one of `REDIALS`."""
        self._figures[PLACES["tunnel_redials", result]] += 1

    def refused(self, status: int) -> None:
        """Count a handshake that was answered with something else than 101."""
        self._figures[PLACES["handshakes_refused", status_class(status)]] += 1

    def over_quota(self) -> None:
        """Count a WebSocket that is closed as soon as it is open, as its key has used up a quota."""
        self._figures[PLACES["handshakes_over_quota",]] += 1

    def answered(self, status: int) -> None:
        """Count a request that is over."""
        self._figures[PLACES["http_requests", status_class(status)]] += 1

    def traced(self, result: str, spans: int) -> None:
        """Count spans by what became of them: `sent`, `dropped`, `failed`."""
        self._figures[PLACES["otel_spans", result]] += spans

    def _time(self, histogram: Histogram, seconds: float) -> None:
        at = PLACES[histogram.name]
        self._figures[at + bisect_left(histogram.bounds, seconds)] += 1
        self._figures[at + len(histogram.bounds) + 1] += max(0, round(seconds * 1e6))

    def _of(self, labels: Labels) -> _OfPeer:
        found = self._by_labels.get(labels)
        if found is None:
            found = self._by_labels[labels] = _OfPeer()
        return found

    def _count(self, what: tuple[str, str], labels: Labels) -> None:
        counted = self._of(labels)
        counted.figures[PEER_PLACES[what]] += 1
        counted.changed = True

    # -- what is told

    def publish(self) -> None:
        """Let everybody know the figures of this moment, with what flows in tunnels that are still open."""
        figures = list(self._figures)
        tunnels = self._loop.tunnels
        figures[_OPEN] = len(tunnels)
        by_labels: dict[Labels, int] = {}
        for tunnel in tunnels:
            figures[_BY_TRANSPORT[tunnel.transport]] += 1
            figures[_PORTABLE] += tunnel.portable
            if tunnel.owner is not None:  # one that another process has not let go yet is still counted there
                _add(figures, tunnel, getattr(tunnel.owner, "conversation", None), 1)
                labels = getattr(tunnel.owner, "labels", NOBODY)
                by_labels[labels] = by_labels.get(labels, 0) + 1
        figures[_STREAMS_OPEN] = len(self._loop.event_streams)
        for stream in self._loop.event_streams:
            _add_stream(figures, stream)
        figures[_WORKER_TUNNELS] = len(tunnels)
        figures[_DESCRIPTORS], figures[_LIMIT] = descriptors(), descriptors_limit()
        figures[_RESIDENT] = resident_bytes()
        link = self.fleet
        if link is not None:
            figures[PLACES["fleet_questions", "redis"]] = link.asked - link.unanswered
            figures[PLACES["fleet_questions", "machine"]] = link.unanswered
            figures[PLACES["fleet_links", "up" if link.up else "lost"]] = 1
        self._row.put(figures)
        for labels in by_labels:
            self._of(labels)
        for labels, each in self._by_labels.items():
            if each.open != by_labels.get(labels, 0):
                each.open = by_labels.get(labels, 0)
                each.changed = True
        if any(each.changed for each in self._by_labels.values()):
            self._publish_labelled()

    def _publish_labelled(self) -> None:
        labelled, now = self.labelled, self._loop.timers.now
        with labelled:
            for labels, each in self._by_labels.items():
                if each.changed:
                    each.place = labelled.add(labels, each.figures, each.open, self._row.number, each.place, now)
                    each.figures = [0] * len(PEER_PLACES)
                    each.changed = False
        if len(self._by_labels) > MOST:
            self._by_labels = {labels: each for labels, each in self._by_labels.items() if each.open}

    def by_peer(self) -> list[Sums]:
        """Return what was counted under labels, of all workers; our own figures are those of the last `publish`."""
        return self.labelled.sums(self.rows.living())

    def sums(self) -> list[int]:
        """Sum up over all workers; our own figures are of this moment."""
        self.publish()
        return self.rows.sums()

    def _due(self) -> None:
        timers = self._loop.timers
        before = self._loop.time()
        self.publish()
        took = self._loop.time() - before
        self._alarm.at(timers.now + max(TELL, took * SHARE))


def _add(figures: list[int], tunnel: Tunnel, conversation: WebSocketView | None, sign: int) -> None:
    """Add what has flowed in a tunnel."""
    figures[_BYTES_IN] += sign * tunnel.from_client
    figures[_BYTES_OUT] += sign * tunnel.from_backend
    if conversation is not None:
        figures[_MESSAGES_IN] += sign * conversation.messages_in
        figures[_MESSAGES_OUT] += sign * conversation.messages_out


def _add_stream(figures: list[int], stream: LiveEventStream) -> None:
    """Add what has flowed in an event stream."""
    figures[_EVENTS] += stream.events or 0
    figures[_STREAM_BYTES] += stream.bytes_out
    figures[_STREAM_PINGS] += stream.pings
    figures[_STREAM_REDIALS] += stream.redials
