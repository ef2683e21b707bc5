"""The health of a peer in memory that all workers share: written by whoever checks, seen by all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.upstream.peers.health import WHY, Health

if TYPE_CHECKING:
    from mmap import mmap

_CELL = 8
_INTS = ("state", "changed", "checks", "failed", "unhealthy", "last", "timed")
_FLOATS = ("since", "last_at", "returned", "header_time", "response_time")
_TEXT = 128

HEALTH = _TEXT + WHY
"""Bytes that it takes."""


class SharedHealth(Health):
    """A `Health` whose place in memory is `at`, a multiple of eight. The memory begins as zeros, as a `Health` does."""

    __slots__ = ("_at", "_floats", "_ints", "_memory")

    def __init__(self, memory: mmap, ints: memoryview[int], floats: memoryview[float], at: int) -> None:
        self._memory = memory
        self._ints = ints
        self._floats = floats
        self._at = at
        self.inflight = 0
        self.begun = 0.0


def _of_ints(cell: int) -> property:
    def get(health: SharedHealth) -> int:
        return health._ints[health._at // _CELL + cell]

    def put(health: SharedHealth, value: int) -> None:
        health._ints[health._at // _CELL + cell] = value

    return property(get, put)


def _of_floats(cell: int) -> property:
    def get(health: SharedHealth) -> float:
        return health._floats[health._at // _CELL + cell]

    def put(health: SharedHealth, value: float) -> None:
        health._floats[health._at // _CELL + cell] = value

    return property(get, put)


def _why(health: SharedHealth) -> str:
    at = health._at + _TEXT
    return health._memory[at : at + WHY].rstrip(b"\0").decode("latin-1")


def _put_why(health: SharedHealth, text: str) -> None:
    at = health._at + _TEXT
    health._memory[at : at + WHY] = text.encode("latin-1", "replace")[:WHY].ljust(WHY, b"\0")


_PLACES = {
    **{name: _of_ints(cell) for cell, name in enumerate(_INTS)},
    **{name: _of_floats(cell) for cell, name in enumerate(_FLOATS, len(_INTS))},
    "why": property(_why, _put_why),
}
for _name, _place in _PLACES.items():
    setattr(SharedHealth, _name, _place)
