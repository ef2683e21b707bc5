"""Sums under labels that the configuration gives (a server, an upstream, a peer), in memory that all workers share.

Nobody counts here at the moment when something happens: a worker counts for itself, and adds what is new once a second,
under the lock. So the sums hold what workers did that are gone. Beside them every record has a figure of the moment for
each worker, in a column that has the number of the worker's row (`shared/rows.py`): those of the dead are not counted.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import NamedTuple

from penstock.config.key import Key
from penstock.shared.memory import LockedMemory
from penstock.shared.rows import WORKERS

LABELLED: Key[LabelledSums] = Key("labelled sums")
"""The key of the plan's `shared` under which they are, if anybody asks for them."""

MOST = 1024
"""Sets of labels. When all are in use, the one that nothing has happened to for longest makes room, unless something of
it is open; else what is new is counted as OTHER."""
OTHER = "other"
_LONGEST = 508
_SEPARATOR = "\n"

Labels = tuple[str, ...]


class Sums(NamedTuple):
    """The sums of one set of labels, and what is open of it in all workers."""

    labels: Labels
    sums: list[int]
    open: int


class LabelledSums(LockedMemory):
    """Records of `width` sums, by `depth` labels each."""

    __slots__ = ("_form", "_other", "_record", "depth", "width")

    def __init__(self, name: str, width: int, depth: int) -> None:
        self.width = width
        self.depth = depth
        self._form = struct.Struct(f"<H{_LONGEST}sd{width}Q")
        self._record = (self._form.size + 4 * (WORKERS + 1) + 7) // 8 * 8
        self._other = (OTHER,) * depth
        super().__init__(name, MOST * self._record)

    def begin(self, column: int) -> None:
        """Clear a column: another process has it now."""
        with self:
            for number in range(MOST):
                if self._labels(number) is None:
                    break
                self._put_open(number, column, 0)

    def add(self, labels: Labels, figures: list[int], opened: int, column: int, hint: int, now: float) -> int:
        """Add figures, and say how much is open of it in this worker. `hint` is where its record was the last time.
        Return where it is. The caller holds the lock."""
        number = hint if hint >= 0 and self._labels(hint) == labels else self._find(labels)
        size, key, _, *sums = self._form.unpack_from(self.memory, number * self._record)
        changed = [was + more for was, more in zip(sums, figures, strict=True)]
        self._form.pack_into(self.memory, number * self._record, size, key, now, *changed)
        self._put_open(number, column, opened)
        return number

    def sums(self, living: Collection[int]) -> list[Sums]:
        """Return all that was counted. `living` are the columns of workers that are alive."""
        found: list[Sums] = []
        with self:
            for number in range(MOST):
                labels = self._labels(number)
                if labels is None:
                    break
                _, _, _, *sums = self._form.unpack_from(self.memory, number * self._record)
                found.append(Sums(labels, sums, self._open(number, living)))
        return found

    def _find(self, labels: Labels) -> int:
        """Find the record of these labels, or take one for them."""
        oldest, since = -1, 0.0
        for number in range(MOST):
            known = self._labels(number)
            if known == labels:
                return number
            if known is None:
                return self._take(number, labels)
            used: float = self._form.unpack_from(self.memory, number * self._record)[2]
            if number and (oldest < 0 or used < since) and not self._is_open(number):
                oldest, since = number, used
        if oldest >= 0 and labels != self._other:
            return self._take(oldest, labels)
        return 0

    def _take(self, number: int, labels: Labels) -> int:
        """Begin a record; the first of all is for what has no place."""
        if not number and labels != self._other:
            self._write(0, self._other)
            number = 1
        if len(_SEPARATOR.join(labels)) > _LONGEST:
            return 0
        self._write(number, labels)
        return number

    def _write(self, number: int, labels: Labels) -> None:
        key = _SEPARATOR.join(labels).encode("latin-1", "replace")
        at = number * self._record
        self.memory[at : at + self._record] = bytes(self._record)
        self._form.pack_into(self.memory, at, len(key), key, 0.0, *[0] * self.width)

    def _labels(self, number: int) -> Labels | None:
        at = number * self._record
        size = int.from_bytes(self.memory[at : at + 2], "little")
        if not size:
            return None
        return tuple(self.memory[at + 2 : at + 2 + size].decode("latin-1").split(_SEPARATOR))

    def _open(self, number: int, living: Collection[int]) -> int:
        start = number * self._record + self._form.size
        return sum(
            int.from_bytes(self.memory[start + 4 * column : start + 4 * column + 4], "little") for column in living
        )

    def _is_open(self, number: int) -> bool:
        """Return whether something is open in any worker, the dead among them."""
        start = number * self._record + self._form.size
        return any(self.memory[start : start + 4 * (WORKERS + 1)])

    def _put_open(self, number: int, column: int, value: int) -> None:
        start = number * self._record + self._form.size + 4 * column
        self.memory[start : start + 4] = max(0, value).to_bytes(4, "little")
