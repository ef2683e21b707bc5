"""The figures of `metrics`: their names, their labels, and the place of each in a worker's row.

Labels have few values, which are all known from the beginning, so that nothing a peer does makes the page longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from penstock.http.events.live import StreamEnd

CODES = (
    *(str(code) for code in (1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)),
    "3xxx",
    "4xxx",
    "other",
    "none",
)
"""Close codes as they are counted; "none": no close frame was seen, or nobody looked."""
SIDES = ("client", "backend", "proxy")
REASONS = (
    "closed client_lost backend_lost client_ping_timeout backend_ping_timeout client_send_timeout "
    "backend_send_timeout idle_timeout protocol_error message_too_big frame_too_big rate quota lifetime reauth drain "
    "shutdown killed unhealthy redial_failed client_closed backend_closed client_reset backend_reset idle other"
).split()
STREAM_ENDS = tuple(end.value for end in StreamEnd)
SPANS = ("sent", "dropped", "failed")
REDIALS = ("continued", "moved", "failed", "stayed")
"""What became of redials: after a loss, or of a move; "stayed": one that was to move has the backend that it had."""
STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Family(NamedTuple):
    """A metric with its labels and every value each of them may have."""

    name: str
    doc: str
    labels: tuple[str, ...] = ()
    values: tuple[tuple[str, ...], ...] = ()

    def cells(self) -> list[tuple[str, ...]]:
        """Return the values of the labels, one tuple for each figure."""
        return list(product(*self.values))


class Histogram(NamedTuple):
    """A metric of times. `bounds` are seconds."""

    name: str
    doc: str
    bounds: tuple[float, ...]


SUMS = (
    Family("tunnels_opened", "Tunnels that were opened"),
    Family("tunnels_closed", "Tunnels that ended, by who began it and by close code", ("by", "code"), (SIDES, CODES)),
    Family("tunnel_ends", "Tunnels that ended, by reason", ("reason",), (tuple(REASONS),)),
    Family("tunnel_messages", "WebSocket messages, in: from clients", ("direction",), (("in", "out"),)),
    Family("tunnel_bytes", "Bytes in tunnels, in: from clients", ("direction",), (("in", "out"),)),
    Family("event_streams_opened", "Event streams that have begun"),
    Family("event_stream_ends", "Event streams that ended, by reason", ("reason",), (STREAM_ENDS,)),
    Family("event_stream_events", "Events in event streams"),
    Family("event_stream_bytes", "Bytes in event streams"),
    Family("event_stream_pings", "Comments that were put into event streams to keep them alive"),
    Family("event_stream_redials", "Answers that have followed another one in an event stream"),
    Family("tunnel_redials", "Tunnels that were to have another backend, by result", ("result",), (REDIALS,)),
    Family("handshakes_refused", "WebSocket handshakes not answered with 101", ("status",), (STATUSES,)),
    Family("handshakes_over_quota", "WebSockets closed as soon as they were open, as a quota was used up"),
    Family(
        "fleet_questions",
        "What requests asked of the fleet, by who answered: redis, or this machine alone",
        ("by",),
        (("redis", "machine"),),
    ),
    Family("http_requests", "HTTP requests that were answered, tunnels not among them", ("status",), (STATUSES,)),
    Family("otel_spans", "Spans for OpenTelemetry, by what became of them", ("result",), (SPANS,)),
)
TRANSPORTS = ("h1", "h1-tls", "h2", "h2-tls", "tcp", "tcp-tls", "udp")
GAUGES = (
    Family("tunnels_open", "Tunnels that are open now"),
    Family("event_streams_open", "Event streams that are open now"),
    Family("tunnels_by_transport", "The same by what carries their clients' side", ("transport",), (TRANSPORTS,)),
    Family("tunnels_portable", "Tunnels that an upgrade of the program would keep: neither side has TLS or HTTP/2"),
    Family(
        "fleet_links",
        "Links of workers to the Redis of the fleet: up, or lost",
        ("state",),
        (("up", "lost"),),
    ),
    Family("workers", "Workers that serve, those of older configurations among them"),
)
PER_WORKER = (
    Family("worker_resident_bytes", "Memory of a worker that is in use, what it shares with others among it"),
    Family("worker_descriptors", "Descriptors that a worker has open"),
    Family("worker_descriptors_limit", "Descriptors that a worker may have open"),
    Family("worker_tunnels", "Tunnels of a worker that are open now"),
)
"""Figures of each worker by itself, under the label `worker`: which place among all of them it has, from 1 on."""

PEER_LABELS = ("server", "upstream", "peer")
RESULTS = ("101", "2xx", "3xx", "4xx", "5xx", "failed")
"""What became of a handshake at a peer; "failed": there was no answer."""
BY_PEER = (
    Family("peer_handshakes", "Handshakes by what a peer answered", ("result",), (RESULTS,)),
    Family("peer_tunnel_ends", "Tunnels that ended, by close code", ("code",), (CODES,)),
)
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG = (1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0)
HANDSHAKE, PING, DURATION = HISTOGRAMS = (
    Histogram("handshake_seconds", "From the head of a handshake to its 101", _FAST),
    Histogram("ping_seconds", "What peers took to answer pings of the proxy", _FAST),
    Histogram("tunnel_duration_seconds", "How long tunnels were open that have ended", _LONG),
)


def _layout() -> tuple[dict[Any, int], int, int]:
    places: dict[Any, int] = {}
    for family in SUMS:
        for values in family.cells():
            places[family.name, *values] = len(places)
    at = len(places)
    for histogram in HISTOGRAMS:
        places[histogram.name] = at
        at += len(histogram.bounds) + 2  # one more for what is beyond the last bound, and the sum in microseconds
    lasting = at
    for family in (*GAUGES, *PER_WORKER):
        for values in family.cells():
            places[family.name, *values] = at
            at += 1
    return places, lasting, at


def _of_peers() -> dict[tuple[str, str], int]:
    cells = [(family.name, value) for family in BY_PEER for (value,) in family.cells()]
    return {cell: place for place, cell in enumerate(cells)}


PEER_PLACES = _of_peers()
"""Where each figure of a peer is among its sums (`shared/labelled_sums.py`): (family, value of its own label)."""
PLACES, LASTING, WIDTH = _layout()
"""Where each figure is: (family, label values ...) or the name of a histogram -> the first of its places."""


def redials_in(figures: Sequence[int]) -> dict[str, int]:
    """Return what became of redials, by result and without zeros; `event_streams`: answers that followed another."""
    counted = {result: figures[PLACES["tunnel_redials", result]] for result in REDIALS}
    counted["event_streams"] = figures[PLACES["event_stream_redials",]]
    return {name: count for name, count in counted.items() if count}


def code_of(code: int) -> str:
    """Return a close code as it is counted."""
    text = str(code)
    if text in CODES:
        return text
    return f"{code // 1000}xxx" if 3000 <= code <= 4999 else "other"


def side_of(reason: str) -> str:
    """Return who ended a tunnel of which nothing else is known."""
    if reason in ("CLIENT_CLOSED", "CLIENT_RESET"):
        return "client"
    return "backend" if reason in ("BACKEND_CLOSED", "BACKEND_RESET") else "proxy"


def result_of(status: int) -> str:
    """Return the result of a handshake as it is counted; 0 stands for no answer."""
    if status == 101:
        return "101"
    return f"{status // 100}xx" if 200 <= status <= 599 else "failed"


def status_class(status: int) -> str:
    """Return the class of a status: 4xx for 404."""
    return f"{status // 100}xx" if 100 <= status <= 599 else "5xx"
