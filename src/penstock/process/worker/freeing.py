"""Plans out of force go away bit by bit, while the loop goes on.

A plan that has settled has no cycles (`modules/release.py`): letting go frees it. Of a large one that would take
tenths of a second in one go; here it is a millisecond at a time, between which the loop has its turn. A search for
cycles walks everything a process has, and everything waits for it: it is made only where memory grows as it should not.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from penstock.modules.release import pieces
from penstock.process import collector

if TYPE_CHECKING:
    from penstock.plan.plan import Plan

SLICE = 0.001
"""Seconds of freeing, after which the loop has its turn."""

LEAST = 200_000
"""Blocks of memory, less than which are no sign of anything."""


def keep_apart() -> None:
    """Keep what there is now out of collections to come; it is freed nevertheless when nobody has it."""
    collector.set_aside()


class Growth:
    """Whether there are far more blocks of memory than once: then, and only then, cycles are looked for."""

    __slots__ = ("_once",)

    def __init__(self) -> None:
        self._once = 0

    def collect_if_grown(self) -> bool:
        """Look for cycles if there is much more than before, and return whether that was done; it takes a microsecond a
        block or so."""
        blocks = collector.blocks()
        if not self._once:
            self._once = blocks
        if blocks < 2 * self._once + LEAST:
            return False
        collector.bring_back()
        gc.collect()
        collector.set_aside()
        self._once = collector.blocks()
        return True


class Freeing:
    """Frees plans in turns that `soon` calls, the loop's `call_soon`."""

    __slots__ = ("_growth", "_plans", "_soon", "_work")

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._plans: deque[Plan] = deque()
        self._work: Iterator[None] | None = None
        self._growth = Growth()

    def add(self, plan: Plan) -> None:
        """Add a plan that is out of force. Nobody else may have it by the time of `begin`; who has parts of it keeps
        those."""
        self._plans.append(plan)

    def begin(self) -> None:
        """Free what was added."""
        if self._work is None:
            self._work = self._free()
            self._turn()

    def _turn(self) -> None:
        assert self._work is not None
        until = monotonic() + SLICE
        for _ in self._work:
            if monotonic() > until:
                self._soon(self._turn)
                return
        self._work = None
        self._growth.collect_if_grown()

    def _free(self) -> Iterator[None]:
        while self._plans:
            plan: Plan | None = self._plans.popleft()
            assert plan is not None
            held: list[Any] = []
            for each in pieces(plan):
                held.append(each)
                yield
            plan = each = None  # type: ignore[assignment]
            yield
            held.reverse()
            while held:
                held.pop()
                yield
