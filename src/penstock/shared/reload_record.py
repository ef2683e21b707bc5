"""What became of the last reload, told by the master to whoever shows it."""

from __future__ import annotations

import struct
from typing import NamedTuple

from penstock.config.key import Key
from penstock.shared.memory import LockedMemory

RELOADS: Key[ReloadMemory] = Key("reloads")
"""The key of the plan's `shared` under which it is, if anybody asks for it."""

_FORM = struct.Struct("<QQddQQ")


class ReloadRecord(NamedTuple):
    """`generation` is the configuration in force, from 1 on; `good` and `bad` count reloads, `respawned` workers that
    died and have successors.

    `time` is when the last one ended, in seconds since 1970 (the start where there was none), `took` how many
    seconds it was.
    """

    generation: int = 1
    good: int = 0
    bad: int = 0
    time: float = 0.0
    took: float = 0.0
    succeeded: bool = True
    respawned: int = 0


NO_RELOAD = ReloadRecord()


class ReloadMemory(LockedMemory):
    """One record, which only the master writes."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("reloads", 64)

    def read(self) -> ReloadRecord:
        """Return what the master said last."""
        with self:
            generation, counts, time, took, succeeded, respawned = _FORM.unpack_from(self.memory, 0)
        if not generation:
            return NO_RELOAD
        return ReloadRecord(generation, counts & 0xFFFFFFFF, counts >> 32, time, took, bool(succeeded), respawned)

    def begin(self, now: float) -> None:
        """Note when the program began, unless that is known."""
        if not self.read().time:
            self._write(ReloadRecord(time=now))

    def ended(self, generation: int, now: float, took: float, *, succeeded: bool) -> None:
        """Note the end of a reload."""
        known = self.read()
        self._write(
            known._replace(
                generation=generation,
                good=known.good + succeeded,
                bad=known.bad + (not succeeded),
                time=now,
                took=took,
                succeeded=succeeded,
            )
        )

    def died(self) -> None:
        """Note that a worker has died, and another takes its place."""
        known = self.read()
        self._write(known._replace(respawned=known.respawned + 1))

    def _write(self, record: ReloadRecord) -> None:
        counts = (record.good & 0xFFFFFFFF) | (record.bad & 0xFFFFFFFF) << 32
        with self:
            _FORM.pack_into(
                self.memory, 0, record.generation, counts, record.time, record.took, record.succeeded, record.respawned
            )
