"""Places in zones that requests and tunnels hold until they end (`limit_conn`, `websocket_quota`).

Each worker has a record of its own for a value of the key, so that what a worker held that was killed is not held for
ever: its record goes when somebody asks for its place.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.modules.fleet.places import FleetPlaces, held_anyway
from penstock.plan.plan import STREAM_PART, Plan
from penstock.shared.processes import is_alive

if TYPE_CHECKING:
    from penstock.modules.access.zones import Shared
    from penstock.shared.zone import Zone

ZONES: Key[dict[str, Shared]] = Key("zones")
"""The key of the plan's `shared` under which its zones are, by name."""

MODULE = "limit_conn"
PLACES_TOO = "websocket_quota"
"""The module, beside `limit_conn`, whose zones count places as that does."""
LONGEST_KEY = 255

_HELD = struct.Struct("<QQ")
"""The worker (its process), and how many it serves."""


class TakenPlace:
    """A place that a request has; it is given back by a call. `beyond` is its place among all machines, where it came
    with the tunnel from another process; where it was taken here, the request has that by itself."""

    __slots__ = ("_digest", "_memory", "beyond", "key", "zone")

    def __init__(
        self, memory: Zone, zone: str, key: str, digest: bytes, beyond: FleetPlaces | None = None
    ) -> None:
        self._memory = memory
        self._digest = digest
        self.beyond = beyond
        self.zone = zone
        self.key = key

    def __call__(self) -> None:
        give_back(self._memory, self._digest)
        if self.beyond is not None:
            self.beyond()


def place_again(plan: Plan, zone: str, key: str, *, of_streams: bool = False) -> TakenPlace | None:
    """Take a place for a tunnel that had one in another process, however many there are; None where the configuration
    has no such zone."""
    part = plan.shared.get(STREAM_PART) if of_streams else plan.shared
    shared = None if part is None else (part.get(ZONES) or {}).get(zone)
    if shared is None or shared.module not in (MODULE, PLACES_TOO):
        return None
    digest = shared.memory.digest(key)
    if not take(shared.memory, digest, sys.maxsize):
        return None
    return TakenPlace(shared.memory, zone, key, digest, held_anyway(shared.fleet, shared.digests, key))


def count_held(zone: Zone, digest: bytes) -> int:
    """Return how many places are taken on this machine."""
    with zone:
        return _held(zone, digest, 0)[0]


def take(zone: Zone, digest: bytes, most: int) -> bool:
    """Take one of `most` places; whether there was one."""
    me = os.getpid()
    with zone:
        held, own = _held(zone, digest, me)
        if held >= most:
            _bury(zone, digest)
            held, own = _held(zone, digest, me)
            if held >= most:
                return False
        if own >= 0:
            zone.write(own, _HELD.pack(me, zone.read(own, _HELD)[1] + 1))
            return True
        mine = _HELD.pack(me, 1)
        if zone.put(digest, mine) >= 0:
            return True
        _bury(zone, digest)
        return zone.put(digest, mine) >= 0


def give_back(zone: Zone, digest: bytes) -> None:
    """Leave a place that this worker took."""
    me = os.getpid()
    with zone:
        for at in zone.all(digest):
            worker, count = zone.read(at, _HELD)
            if worker != me:
                continue
            if count > 1:
                zone.write(at, _HELD.pack(me, count - 1))
            else:
                zone.remove(at)
            return


def _held(zone: Zone, digest: bytes, me: int) -> tuple[int, int]:
    """How many places are taken, and the record of a worker (-1: it has none)."""
    held, own = 0, -1
    for at in zone.all(digest):
        worker, count = zone.read(at, _HELD)
        held += count
        if worker == me:
            own = at
    return held, own


def _bury(zone: Zone, digest: bytes) -> None:
    """Forget, in the neighbourhood, what workers held that are no more."""
    for at, value in list(zone.neighbours(digest)):
        worker, _ = _HELD.unpack(value)
        if not is_alive(worker):
            zone.remove(at)
