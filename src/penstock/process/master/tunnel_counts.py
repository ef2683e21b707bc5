"""How many tunnels each worker has, told to the master: a cell each in memory that they share, written now and then."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from penstock.net.timers import Alarm
from penstock.shared.memory import SharedMemory

if TYPE_CHECKING:
    from penstock.net.loop import Loop

CELLS = 1024
EVERY = 2.0
"""Seconds between two figures of a worker."""

_CELL = struct.Struct("=Q")


class TunnelCounts(SharedMemory):
    """The master makes it before it forks, where somebody wants to know."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        super().__init__("counts", CELLS * _CELL.size)
        self._taken: set[int] = set()

    def cell(self) -> int:
        """Find a cell for a worker that begins; -1 where there are too many."""
        found = next((number for number in range(CELLS) if number not in self._taken), -1)
        if found >= 0:
            self._taken.add(found)
        return found

    def give_back(self, cell: int) -> None:
        """Free the cell of a worker that has ended."""
        if cell >= 0:
            self._taken.discard(cell)
            self._put(cell, 0)

    def total(self) -> int:
        return sum(_CELL.unpack_from(self.memory, cell * _CELL.size)[0] for cell in self._taken)

    def keep(self, loop: Loop, cell: int) -> None:
        """Keep a worker's cell up to date, in that worker."""
        if cell < 0:
            return

        def count() -> None:
            self._put(cell, len(loop.tunnels))
            alarm.set(EVERY)

        alarm = Alarm(loop.timers, count)
        count()

    def _put(self, cell: int, value: int) -> None:
        _CELL.pack_into(self.memory, cell * _CELL.size, value)
