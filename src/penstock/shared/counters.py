"""Figures that every worker tells of itself and anyone may sum up, as `stub_status` shows them."""

from __future__ import annotations

from typing import NamedTuple

from penstock.config.key import Key
from penstock.shared.rows import Row, Rows

COUNTERS: Key[Counters] = Key("counters")
"""The key of the plan's `shared` under which they are, if anybody asks for them."""


class Figures(NamedTuple):
    """The figures that `stub_status` shows."""

    accepts: int
    handled: int
    requests: int
    active: int
    reading: int
    writing: int
    waiting: int


class Counters(Rows):
    """Shared memory with a row of `Figures` for each worker. The first three are sums, which stay when a worker goes.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("counters", len(Figures._fields), 3)

    def share(self) -> Share | None:
        """Claim a row for this process, and return it; None if there is no room."""
        number = self.claim()
        return Share(self, number) if number else None

    def total(self) -> Figures:
        """Sum up over all workers, and over what workers did that have gone."""
        return Figures(*self.sums())


class Share(Row):
    """The row of one worker."""

    __slots__ = ()

    def total(self) -> Figures:
        """Sum up over all workers."""
        return Figures(*self.sums())
