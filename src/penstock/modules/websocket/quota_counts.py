"""What keys have used of their quotas: in memory that all workers share, with `sync` also by all machines.

A period is a minute, an hour or a day of UTC. For each key, unit and period there is a record of what this machine has
used; with `sync` there are two: what Redis has told of all machines, and what it has not been told yet. Both together
are what is used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING

from penstock.modules.fleet.membership import CLOSED, LOCAL
from penstock.shared.zone import Zone

if TYPE_CHECKING:
    from penstock.modules.access.zones import Shared
    from penstock.modules.fleet.link import Link

MESSAGES, BYTES = "messages", "bytes"

_USED = struct.Struct("<IIQ")
"""The length of a period in seconds, its number since 1970, and how much was used in it."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many `unit` (MESSAGES or BYTES) in a period of so many seconds."""

    unit: str
    most: int
    period: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What one key may use. `tunnels` is how many it may have at once (0: any number); `client` and `backend` say whose
    messages and bytes count; `code` is what a client is told that has used it up."""

    zone: str
    tunnels: int = 0
    allowances: tuple[Allowance, ...] = ()
    client: bool = True
    backend: bool = False
    code: int = 1008


@dataclass(frozen=True, slots=True)
class Counter:
    """What is counted for one key: `digest` stands for it on this machine, `beyond` among all machines, b"" without
    `sync`; `told` is where Redis's word is kept."""

    allowance: Allowance
    digest: bytes
    told: bytes = field(default=b"", compare=False)
    beyond: bytes = field(default=b"", compare=False)


class QuotaZone:
    """A zone of quotas. `shared` has the key and the places of tunnels, `counts` the memory of what is used."""

    __slots__ = ("counts", "shared")

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.counts: Zone | None = None

    @property
    def link(self) -> Link | None:
        """Return this worker's link to Redis, where the zone says `sync` and there is one."""
        fleet = self.shared.fleet
        return None if fleet is None else fleet.link

    def counter(self, key: str, allowance: Allowance) -> Counter:
        """Return what counts for a value of the key."""
        name = f"{allowance.unit}/{allowance.period}\0{key}"
        memory, digests = self._memory, self.shared.digests
        own = memory.digest(name)
        if digests is None:
            return Counter(allowance, own)
        return Counter(allowance, own, memory.digest(f"told {name}"), digests.of(name))

    def add(self, counter: Counter, amount: int) -> int:
        """Count so much more, and return what is used in this period."""
        period = counter.allowance.period
        window = int(time()) // period
        memory = self._memory
        with memory:
            if amount:
                self._change(counter.digest, period, window, amount)
            return self._used(counter, window)

    def told(self, counter: Counter, window: int, total: int, sent: int) -> int:
        """Take Redis's word for all that was used in a period, `sent` of it by what it was just told; return what is
        used in this period."""
        period = counter.allowance.period
        now = int(time()) // period
        memory = self._memory
        with memory:
            if sent:
                self._change(counter.digest, period, now, -sent)
            before_window, before = self._read(counter.told)
            if window > before_window or (window == before_window and total > before):
                self._write(counter.told, period, window, total)
            return self._used(counter, now)

    def known(self, counter: Counter) -> tuple[int, int]:
        """Return what Redis has told, for its own good: should it have forgotten, it learns it from this. The number of
        the period, and how much."""
        with self._memory:
            return self._read(counter.told)

    def used_up(self, key: str, quota: Quota) -> str:
        """Return the unit of which nothing is left for a key, "" if there is some of all."""
        link = self.link
        if quota.allowances and link is not None and not link.up and link.options.on_error == CLOSED:
            return quota.allowances[0].unit
        for allowance in quota.allowances:
            if self.add(self.counter(key, allowance), 0) >= allowance.most:
                return allowance.unit
        return ""

    # -- with the lock held

    def _used(self, counter: Counter, window: int) -> int:
        """Sum up. While Redis is not heard of, what it has not been told counts for each machine that there was."""
        of, own = self._read(counter.digest)
        if of != window:
            own = 0
        if not counter.told:
            return own
        link = self.link
        if link is not None and not link.up and link.options.on_error == LOCAL:
            own *= link.nodes
        of, told = self._read(counter.told)
        return own + (told if of >= window else 0)

    def _read(self, digest: bytes) -> tuple[int, int]:
        memory = self._memory
        at = memory.find(digest)
        if at < 0:
            return 0, 0
        _, window, amount = memory.read(at, _USED)
        return window, amount

    def _change(self, digest: bytes, period: int, window: int, amount: int) -> None:
        of, before = self._read(digest)
        self._write(digest, period, window, max(0, (before if of == window else 0) + amount))

    def _write(self, digest: bytes, period: int, window: int, amount: int) -> None:
        memory = self._memory
        value = _USED.pack(period, window, min(amount, 2**63))
        at = memory.find(digest)
        if at >= 0:
            memory.write(at, value)
        elif memory.put(digest, value) < 0:
            self._make_room(digest)
            memory.put(digest, value)

    def _make_room(self, digest: bytes) -> None:
        """Forget what belongs to periods that are over; where nothing does, the key that has used least."""
        memory, now = self._memory, int(time())
        least, lowest = -1, 2**64
        freed = False
        for at, value in list(memory.neighbours(digest)):
            period, window, amount = _USED.unpack(value)
            if not period or now // period > window:
                memory.remove(at)
                freed = True
            elif amount < lowest:
                least, lowest = at, amount
        if not freed and least >= 0:
            memory.remove(least)

    @property
    def _memory(self) -> Zone:
        assert self.counts is not None, "there once the configuration has been read"
        return self.counts


"""The key of the plan's `shared` under which its zones of quotas are, by name."""
