"""The figures of `metrics`: their names, their labels, and the place of each in a worker's row.

Labels have few values, which are all known from the beginning, so that nothing a peer does makes the page longer.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

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
    "backend_send_timeout idle_timeout protocol_error message_too_big frame_too_big rate lifetime reauth drain "
    "shutdown killed client_closed backend_closed client_reset backend_reset idle other"
).split()
STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Family(NamedTuple):
    """A metric with its labels and every value each of them may have."""

    name: str
    doc: str
    labels: tuple[str, ...] = ()
    values: tuple[tuple[str, ...], ...] = ()

    def cells(self) -> list[tuple[str, ...]]:
        """The values of the labels, one tuple for each figure."""
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
    Family("handshakes_refused", "WebSocket handshakes not answered with 101", ("status",), (STATUSES,)),
    Family("http_requests", "HTTP requests that were answered, tunnels not among them", ("status",), (STATUSES,)),
)
GAUGES = (
    Family("tunnels_open", "Tunnels that are open now"),
    Family("workers", "Workers that serve, those of older configurations among them"),
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
    for family in GAUGES:
        places[family.name,] = at
        at += 1
    return places, lasting, at


PLACES, LASTING, WIDTH = _layout()
"""Where each figure is: (family, label values ...) or the name of a histogram -> the first of its places."""


def code_of(code: int) -> str:
    """A close code as it is counted."""
    text = str(code)
    if text in CODES:
        return text
    return f"{code // 1000}xxx" if 3000 <= code <= 4999 else "other"


def side_of(reason: str) -> str:
    """Who ended a tunnel of which nothing else is known."""
    if reason in ("CLIENT_CLOSED", "CLIENT_RESET"):
        return "client"
    return "backend" if reason in ("BACKEND_CLOSED", "BACKEND_RESET") else "proxy"


def status_class(status: int) -> str:
    """404 -> 4xx."""
    return f"{status // 100}xx" if 100 <= status <= 599 else "5xx"
