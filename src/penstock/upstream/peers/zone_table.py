"""How peers fare, in memory that all workers of a configuration share (nginx: ngx_http_upstream_zone_module).

Each peer has a record. Of what it carries, every worker counts its own share in a column that only it writes, so that
counting takes no lock. A column belongs to a process through a POSIX record lock, which the kernel gives back when that
process dies: whoever finds a column free clears it, and what a killed worker carried is forgotten. Failures and weights
have one place for all; two workers that write at the same moment may lose one step, which weighted round robin and the
next failure make good.

Behind the records lies what is known of each peer's health (`shared_health.py`); the size of a zone does not count it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from penstock.shared.memory import SharedMemory
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.shared_health import HEALTH, SharedHealth

if TYPE_CHECKING:
    from penstock.net.dial import Address

COLUMNS = 128
"""Workers that may count at once: old ones stay until their tunnels end."""

_KEY = 80
_CELL = 8
_HEAD = 128
RECORD = _HEAD + 4 * COLUMNS
_ALLOCATING = COLUMNS
"""The byte whose lock is held while a record is taken."""

_CHECKING = COLUMNS + 1
"""The byte whose lock the worker holds that checks for all."""

# Cells of a record, after its key.
_FAILS, _CURRENT, _EFFECTIVE, _ACCESSED, _CHECKED, _LIVE = range(_KEY // _CELL, _KEY // _CELL + 6)


class PeerTable(SharedMemory):
    """Shared memory of `size` bytes under a name, made before workers are forked. The first record is the table's own.
    """

    __slots__ = (
        "_column",
        "_owner",
        "_records",
        "_thread",
        "counts",
        "floats",
        "ints",
        "size",
    )

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self._records = size // RECORD
        if self._records < 2:
            raise ValueError(f"a zone takes at least {2 * RECORD} bytes")
        super().__init__(name, self._records * (RECORD + HEALTH))
        self._thread = Lock()
        view = memoryview(self.memory)
        self.ints = view.cast("q")
        self.floats = view.cast("d")
        self.counts = view.cast("i")
        self._owner = 0
        self._column = 0

    def record(self, key: str, weight: int = 1) -> int:
        """Return the number of a key's record, a new one if it has none; 0 if there is no room for it.

        It is in use from then on; if it was not before, it begins with this weight.
        """
        wanted = key.encode("latin-1")[:_KEY].ljust(_KEY, b"\0")
        with self._thread:  # a plan that is loaded in a thread meets the one in force
            return self._record(wanted, weight)

    def _record(self, wanted: bytes, weight: int) -> int:
        self.lock_byte(_ALLOCATING, wait=True)
        try:
            free = 0
            for number in range(1, self._records):
                at = number * RECORD
                found = self.memory[at : at + _KEY]
                if found == wanted:
                    self._begin(at, weight)
                    return number
                if not free and (not found[0] or self._unused(at)):
                    free = number
                if not found[0]:
                    break
            if free:
                at = free * RECORD
                self.memory[at : at + RECORD] = wanted.ljust(RECORD, b"\0")
                health = self._health_of(free)
                self.memory[health : health + HEALTH] = bytes(HEALTH)
                self._begin(at, weight)
            return free
        finally:
            self.unlock_byte(_ALLOCATING)

    def _begin(self, at: int, weight: int) -> None:
        cell = at // _CELL
        if not self.ints[cell + _LIVE]:
            self.ints[cell + _EFFECTIVE] = weight
            self.ints[cell + _LIVE] = 1

    def _health_of(self, number: int) -> int:
        return self._records * RECORD + number * HEALTH

    def health(self, number: int) -> SharedHealth:
        """Return the health of the peer whose record has that number."""
        return SharedHealth(self.memory, self.ints, self.floats, self._health_of(number))

    def _unused(self, at: int) -> bool:
        counts = (at + _HEAD) // 4
        return not self.ints[at // _CELL + _LIVE] and not any(self.counts[counts : counts + self.ints[0]])

    def live(self, prefix: str) -> list[str]:
        """Return the rest of every key that begins so and is in use."""
        start = prefix.encode("latin-1")
        found: list[str] = []
        for number in range(1, self._records):
            at = number * RECORD
            key = self.memory[at : at + _KEY]
            if not key[0]:
                break
            if key.startswith(start) and self.ints[at // _CELL + _LIVE]:
                found.append(key.rstrip(b"\0")[len(start) :].decode("latin-1"))
        return found

    def retire(self, keep: Callable[[int, str], bool]) -> None:
        """Put all records out of use but those of which `keep` is true, by number and key."""
        for number in range(1, self._records):
            at = number * RECORD
            key = self.memory[at : at + _KEY]
            if not key[0]:
                break
            if not keep(number, key.rstrip(b"\0").decode("latin-1")):
                self.ints[at // _CELL + _LIVE] = 0

    @property
    def column(self) -> int:
        """Return the column that is this process's."""
        pid = os.getpid()
        if self._owner != pid:
            self._column = self._claim()
            self._owner = pid
        return self._column

    def _claim(self) -> int:
        for column in range(COLUMNS):
            if self.lock_byte(column, wait=False):
                self._clear(column)
                if column >= self.ints[0]:
                    self.ints[0] = column + 1
                return column
        return COLUMNS - 1

    def checks(self) -> bool:
        """Return whether it is this process that checks peers, for all; nobody else does from then on."""
        return self.lock_byte(_CHECKING, wait=False)

    def checks_no_more(self) -> None:
        """Let another process check."""
        self.unlock_byte(_CHECKING)

    def sweep(self) -> None:
        """Forget what workers carried that are gone."""
        own = self.column
        for column in range(self.ints[0]):
            if column != own and self.lock_byte(column, wait=False):
                self._clear(column)
                self.unlock_byte(column)

    def _clear(self, column: int) -> None:
        for number in range(1, self._records):
            at = number * RECORD
            if not self.memory[at]:
                break
            self.counts[(at + _HEAD) // 4 + column] = 0


class SharedPeer(Peer):
    """A peer whose state lies in a record of a table. `key` tells it from other peers of the table."""

    __slots__ = ("_cell", "_counts", "_seen", "_table")

    def __init__(
        self, table: PeerTable, record: int, address: Address, name: str, server: str, options: ServerOptions
    ) -> None:
        self._table = table
        self._cell = record * RECORD // _CELL
        self._counts = (record * RECORD + _HEAD) // 4
        self._seen = 0
        self.address = address
        self.name = name
        self.server = server
        self.options = self.given = options
        self.weight = options.weight
        self.served = self.failures = self.unavailable = 0
        self._health = table.health(record)
        self.label = ("", server)
        self.heir = None

    @property
    def active(self) -> int:
        """Count the requests and tunnels it carries, in all workers."""
        table = self._table
        self._seen = total = sum(table.counts[self._counts : self._counts + table.ints[0]])
        return total

    @active.setter
    def active(self, total: int) -> None:
        # What has changed since it was read is ours, whatever other workers have counted meanwhile.
        table = self._table
        table.counts[self._counts + table.column] += total - self._seen

    @property
    def own(self) -> int:
        """Count the requests and tunnels that it carries in this worker alone."""
        table = self._table
        return table.counts[self._counts + table.column]

    @property
    def record(self) -> int:
        """Return the number of its record."""
        return self._cell * _CELL // RECORD

    @property
    def table(self) -> PeerTable:
        """Return the memory that has its state."""
        return self._table

    def same_record(self, other: SharedPeer) -> bool:
        """Return whether both have their state in one place."""
        return self._table is other._table and self._cell == other._cell

    def gone(self) -> None:
        """Leave the group; its record may be taken once nobody uses it."""
        self._table.ints[self._cell + _LIVE] = 0


def _of_ints(cell: int, doc: str) -> property:
    def get(peer: SharedPeer) -> int:
        return peer._table.ints[peer._cell + cell]

    def put(peer: SharedPeer, value: int) -> None:
        peer._table.ints[peer._cell + cell] = value

    return property(get, put, doc=doc)


def _of_floats(cell: int, doc: str) -> property:
    def get(peer: SharedPeer) -> float:
        return peer._table.floats[peer._cell + cell]

    def put(peer: SharedPeer, value: float) -> None:
        peer._table.floats[peer._cell + cell] = value

    return property(get, put, doc=doc)


for _name, _made in {
    "fails": _of_ints(_FAILS, "Failures since it last did well."),
    "current_weight": _of_ints(_CURRENT, "Its place in weighted round robin."),
    "effective_weight": _of_ints(_EFFECTIVE, "Its weight, less what failures took."),
    "accessed": _of_floats(_ACCESSED, "When it last failed."),
    "checked": _of_floats(_CHECKED, "When it was last given a chance."),
}.items():
    setattr(SharedPeer, _name, _made)


class CheckedPeer(SharedPeer):
    """A peer of a group with active checks: one that has failed them is given nothing, whatever else is so."""

    __slots__ = ()

    @property
    def sound(self) -> bool:
        """Return whether the last checks found it well."""
        return self.health.usable

    def available(self, now: float) -> bool:
        """Return whether it may be given a request, by the checks and by all else."""
        return self.health.usable and super().available(now)

    def bare(self) -> bool:
        """Return whether it may be given a request if nobody else is left: never one that failed its checks."""
        return self.health.usable and super().bare()
