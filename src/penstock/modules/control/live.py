"""What the dashboard shows, gathered once a second for all who look, and the stream that tells them."""

from __future__ import annotations

import asyncio
import json
from time import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from penstock import __version__
from penstock.modules.fleet.membership import FLEET
from penstock.modules.logs.metrics import certificates
from penstock.observe.ask_workers import upstreams_of_all
from penstock.observe.metric_names import CODES, HANDSHAKE, PEER_PLACES, PLACES, RESULTS, SIDES, STATUSES, redials_in
from penstock.shared.reload_record import NO_RELOAD, RELOADS

if TYPE_CHECKING:
    from penstock.http.client import ClientService

EVERY = 1.0
"""Seconds between two events."""
ALONE = "control_socket is off: what is shown of upstreams and tunnels is this worker's alone"
_FRESH = 0.8
"""Seconds for which figures are told again to somebody else."""


class LiveFigures:
    """The figures of one worker's service, as they were last gathered."""

    _known: WeakKeyDictionary[ClientService, LiveFigures] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._at = 0.0
        self._found: dict[str, Any] = {}
        self._busy = False

    @classmethod
    def of(cls, service: ClientService) -> LiveFigures:
        """Return those of a service."""
        found = cls._known.get(service)
        if found is None:
            found = cls._known[service] = cls()
        return found

    async def gather(self, service: ClientService) -> dict[str, Any]:
        """Gather them, unless somebody just has, or is about to."""
        now = service.timers.now
        if self._found and (self._busy or now - self._at < _FRESH):
            return self._found
        self._busy = True
        try:
            self._found = await gathered(service)
            self._at = now
        finally:
            self._busy = False
        return self._found


def _fleet_note(service: ClientService) -> str:
    """What people have to know of the fleet: that its Redis is lost, as long as it is."""
    fleet = service.plan.shared.get(FLEET)
    if fleet is None or fleet.link is None or fleet.link.up:
        return ""
    where = fleet.options.address.shown
    return f"{where} does not answer: limits of the fleet are this machine's share (on_error={fleet.options.on_error})"


async def gathered(service: ClientService) -> dict[str, Any]:
    """Gather what all workers know."""
    meters = service.meters
    figures = [0] * (max(PLACES.values()) + 1) if meters is None else meters.sums()
    closed: dict[str, int] = {}
    for code in CODES:
        count = sum(figures[PLACES["tunnels_closed", side, code]] for side in SIDES)
        if count:
            closed[code] = count
    by_peer = [] if meters is None else meters.by_peer()
    results = {name: sum(each.sums[PEER_PLACES["peer_handshakes", name]] for each in by_peer) for name in RESULTS}
    at = PLACES[HANDSHAKE.name]
    reloads = service.plan.shared.get(RELOADS)
    counts = service.counts
    return {
        "at": time(),
        "version": __version__,
        "note": (_fleet_note(service) if service.control else ALONE),
        "totals": {
            "tunnels_open": figures[PLACES["tunnels_open",]],
            "tunnels_opened": figures[PLACES["tunnels_opened",]],
            "messages_in": figures[PLACES["tunnel_messages", "in"]],
            "messages_out": figures[PLACES["tunnel_messages", "out"]],
            "bytes_in": figures[PLACES["tunnel_bytes", "in"]],
            "bytes_out": figures[PLACES["tunnel_bytes", "out"]],
            "requests": sum(figures[PLACES["http_requests", status]] for status in STATUSES),
        },
        "closed": closed,
        "redials": redials_in(figures),
        "results": {name: count for name, count in results.items() if count},
        "handshakes": {
            "bounds": list(HANDSHAKE.bounds),
            "counts": figures[at : at + len(HANDSHAKE.bounds) + 1],
        },
        "connections": (service.figures() if counts is None else counts.total())._asdict(),
        "workers": [] if meters is None else [_worker(number, row) for number, row in meters.rows.living().items()],
        "reload": (NO_RELOAD if reloads is None else reloads.read())._asdict(),
        "certificates": certificates(service.plan),
        "upstreams": await upstreams_of_all(service),
    }


def _worker(number: int, row: list[int]) -> dict[str, int]:
    return {
        "number": number,
        "tunnels": row[PLACES["worker_tunnels",]],
        "resident": row[PLACES["worker_resident_bytes",]],
        "descriptors": row[PLACES["worker_descriptors",]],
        "limit": row[PLACES["worker_descriptors_limit",]],
    }


class LiveEvents:
    """A body that never ends by itself: an event each second (https://html.spec.whatwg.org/, Server-sent events). It
    ends when the worker is on its way out; a browser comes back by itself."""

    flushes = True
    viewers = 0

    def __init__(self, service: ClientService, figures: LiveFigures, *, write: bool) -> None:
        self._service = service
        self._figures = figures
        self._write = write
        self._begun = self._closed = False
        LiveEvents.viewers += 1

    def __aiter__(self) -> LiveEvents:
        return self

    async def __anext__(self) -> bytes:
        if self._begun:
            await asyncio.sleep(EVERY)
        self._begun = True
        if self._closed or self._service.draining:
            raise StopAsyncIteration
        found = await self._figures.gather(self._service)
        return b"data: " + json.dumps({**found, "write": self._write}, separators=(",", ":")).encode("ascii") + b"\n\n"

    def close(self) -> None:
        """Count one viewer less. May be called again."""
        if not self._closed:
            self._closed = True
            LiveEvents.viewers -= 1
