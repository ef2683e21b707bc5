"""Figures that every worker tells of itself and anyone may sum up, in memory that all share."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from penstock.plan.zone import SharedMemory

COUNTERS = "counters"
"""The key of the plan's `shared` under which they are, if anybody asks for them."""

WORKERS = 1024
"""How many may tell at once, those of older configurations included; others are not counted."""

_ROW = struct.Struct("<8Q")
_LASTING = 3
"""The first of the figures are sums, which stay when a worker goes."""


class Figures(NamedTuple):
    """What `stub_status` shows."""

    accepts: int
    handled: int
    requests: int
    active: int
    reading: int
    writing: int
    waiting: int


class Counters(SharedMemory):
    """A row for each worker, its process number first.

    Row 0 begins with the number of the last row that was ever in use, and sums up those that have gone.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("counters", (WORKERS + 1) * _ROW.size)

    def share(self) -> Share | None:
        """A row for this process; None where there is no room."""
        with self:
            self._bury()
            for number in range(1, WORKERS + 1):
                if self._row(number)[0]:
                    continue
                self._put(number, (os.getpid(), *[0] * 7))
                last, *gone = self._row(0)
                self._put(0, (max(last, number), *gone))
                return Share(self, number)
        return None

    def total(self) -> Figures:
        """The sum over all workers, and over what workers did that have gone."""
        with self:
            self._bury()
            rows = [self._row(number) for number in range(self._row(0)[0] + 1)]
        return Figures(*(sum(column) for column in list(zip(*rows, strict=True))[1:]))

    def _bury(self) -> None:
        """Add up what workers did that are no more, and free their rows."""
        for number in range(1, self._row(0)[0] + 1):
            process, *figures = self._row(number)
            if process and not _alive(process):
                last, *gone = self._row(0)
                lasting = [gone[at] + figures[at] for at in range(_LASTING)]
                self._put(0, (last, *lasting, *[0] * (7 - _LASTING)))
                self._put(number, (0,) * 8)

    def _row(self, number: int) -> tuple[int, ...]:
        return _ROW.unpack_from(self.memory, number * _ROW.size)

    def _put(self, number: int, row: tuple[int, ...]) -> None:
        _ROW.pack_into(self.memory, number * _ROW.size, *row)


class Share:
    """One worker's row."""

    __slots__ = ("_counters", "_number")

    def __init__(self, counters: Counters, number: int) -> None:
        self._counters = counters
        self._number = number

    def tell(self, figures: Figures) -> None:
        """Put these in place of what was told before."""
        self._counters._put(self._number, (os.getpid(), *figures))

    def total(self) -> Figures:
        """The sum over all workers."""
        return self._counters.total()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
