"""Plans out of force go away bit by bit, while the loop goes on.

A plan that has settled has no cycles (`modules/settled.py`): letting go frees it. Of a large one that would take
tenths of a second in one go; here it is a millisecond at a time, between which the loop has its turn. A search for
cycles walks everything a process has, and everything waits for it: it is made only where memory grows as it should not.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from penstock.modules.settled import pieces

if TYPE_CHECKING:
    from penstock.plan.plan import Plan

SLICE = 0.001
"""Seconds of freeing, after which the loop has its turn."""

LEAST = 200_000
"""Blocks of memory, less than which are no sign of anything."""


def keep_apart() -> None:
    """What there is now is not looked at by collections to come; it is freed nevertheless when nobody has it."""
    gc.freeze()


class Growth:
    """Whether there are far more blocks of memory than once: then, and only then, cycles are looked for."""

    __slots__ = ("_once",)

    def __init__(self) -> None:
        self._once = 0

    def look(self) -> bool:
        """Whether they were looked for, which takes a microsecond a block or so."""
        blocks = sys.getallocatedblocks()
        if not self._once:
            self._once = blocks
        if blocks < 2 * self._once + LEAST:
            return False
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._once = sys.getallocatedblocks()
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
        """One that is out of force. Nobody else may have it by the time of `begin`; who has parts of it keeps those."""
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
        self._growth.look()

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
