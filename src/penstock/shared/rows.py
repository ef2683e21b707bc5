"""Memory in which every worker has a row of figures that only it writes, and anyone may sum up."""

from __future__ import annotations

import os
import struct

from penstock.config.key import Key
from penstock.shared.memory import LockedMemory
from penstock.shared.processes import is_alive

METERS: Key[Rows] = Key("meters")
"""The key of the plan's `shared` under which the rows of `metrics` are, if anybody asks for them."""

LOADS: Key[Rows] = Key("loads")
"""The same for the number of connections of each worker, where there are several."""

WORKERS = 1024
"""How many may have a row at once, those of older configurations included; others are not counted."""


class Rows(LockedMemory):
    """Shared memory with rows of `width` numbers of 64 bits, each after the number of its worker's process.

    The first `lasting` numbers are sums, which stay when a worker goes; the others are of the moment. Row 0 begins with
    the number of the last row that was ever in use, and sums up those that have gone.
    """

    __slots__ = ("_form", "lasting", "width")

    def __init__(self, name: str, width: int, lasting: int) -> None:
        self.width = width
        self.lasting = lasting
        self._form = struct.Struct(f"<{width + 1}Q")
        super().__init__(name, (WORKERS + 1) * self._form.size)

    def share(self) -> Row | None:
        """Claim a row for this process, and return it; None if there is no room."""
        number = self.claim()
        return Row(self, number) if number else None

    def claim(self) -> int:
        """Claim a row for this process, and return its number; 0 if there is no room."""
        with self:
            self._bury()
            for number in range(1, WORKERS + 1):
                if self._row(number)[0]:
                    continue
                self._put(number, (os.getpid(), *[0] * self.width))
                last, *gone = self._row(0)
                self._put(0, (max(last, number), *gone))
                return number
        return 0

    def sums(self) -> list[int]:
        """Sum up each number over all workers, and over what workers did that have gone."""
        with self:
            self._bury()
            rows = [self._row(number) for number in range(self._row(0)[0] + 1)]
        return [sum(column) for column in list(zip(*rows, strict=True))[1:]]

    def living(self) -> dict[int, list[int]]:
        """Return the figures of each worker that is alive, by the number of its row."""
        with self:
            self._bury()
            rows = {number: self._row(number) for number in range(1, self._row(0)[0] + 1)}
        return {number: list(row[1:]) for number, row in rows.items() if row[0]}

    def workers(self) -> int:
        """Count the workers that have a row."""
        with self:
            self._bury()
            return sum(1 for number in range(1, self._row(0)[0] + 1) if self._row(number)[0])

    def _bury(self) -> None:
        """Add up what workers did that are no more, and free their rows."""
        for number in range(1, self._row(0)[0] + 1):
            process, *figures = self._row(number)
            if process and not is_alive(process):
                last, *gone = self._row(0)
                lasting = [gone[at] + figures[at] for at in range(self.lasting)]
                self._put(0, (last, *lasting, *[0] * (self.width - self.lasting)))
                self._put(number, (0,) * (self.width + 1))

    def _row(self, number: int) -> tuple[int, ...]:
        return self._form.unpack_from(self.memory, number * self._form.size)

    def _put(self, number: int, row: tuple[int, ...]) -> None:
        self._form.pack_into(self.memory, number * self._form.size, *row)


class Row:
    """The row of one worker."""

    __slots__ = ("_number", "rows")

    def __init__(self, rows: Rows, number: int) -> None:
        self.rows = rows
        self._number = number

    @property
    def number(self) -> int:
        """Return which row it is, from 1 on."""
        return self._number

    def put(self, figures: tuple[int, ...] | list[int]) -> None:
        """Put these figures in place of those that were there."""
        self.rows._put(self._number, (os.getpid(), *figures))

    def sums(self) -> list[int]:
        """Sum up each number over all workers."""
        return self.rows.sums()

    def others(self) -> list[tuple[int, int]]:
        """Return the first number of each other row in use, with the row's number. It reads once, without the lock: a
        worker that has died may still be among them."""
        rows = self.rows
        last = rows._row(0)[0]
        return [
            (row[1], number)
            for number in range(1, last + 1)
            if number != self._number and (row := rows._row(number))[0]
        ]
