"""The budget of a drain: moments that all workers of a machine share, and all machines of a fleet.

    |x|x|x|x| | ...       moments are so far apart that no second has more of them than the budget

Redis hands moments out, a second ahead at most; without a fleet, or while Redis is not heard of, a cell of memory that
the workers share does, with this machine's share of the budget.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from penstock.modules.fleet.membership import FLEET
from penstock.modules.websocket.drain import DRAIN_MEMORY, drain_rule

if TYPE_CHECKING:
    from penstock.modules.fleet.link import Link
    from penstock.modules.websocket.drain import DrainRule
    from penstock.net.loop import Loop
    from penstock.net.redis.replies import Reply
    from penstock.plan.plan import Plan
    from penstock.shared.zone import Zone

REST = 0.1
"""The part of the budget that is left over: a moment that comes late must not make the next second too full."""
AHEAD = 1.0
"""Seconds for which moments are handed out."""
AGAIN = 0.1
"""Seconds up to the next look, where there was nothing to be had."""
MOST = 1000
_WISH = struct.Struct("<dIB")
_NEXT = struct.Struct("<dd")


class DrainBudget:
    """`link` is None without a fleet."""

    def __init__(self, loop: Loop, rule: DrainRule, memory: Zone, link: Link | None) -> None:
        self._loop = loop
        self._interval = 1 / (rule.budget * (1 - REST))
        self._one_by_one = rule.one_by_one
        self._memory = memory
        self._digest = memory.digest("drain")
        self._link = link
        self._moments: deque[float] = deque()
        self._asking = False
        self._again = 0.0

    def allow(self, count: int, now: float, go_on: Callable[[], None]) -> tuple[int, float]:
        """Return how many of `count` may be ended now, and when to ask again. `go_on` is called once there is more."""
        moments = self._moments
        allowed = 0
        while moments and moments[0] <= now and allowed < count:
            moments.popleft()
            allowed += 1
        missing = min(MOST, count - allowed - len(moments))
        if missing > 0 and not self._asking and now >= self._again:
            self._ask(missing, now, go_on)
        if count == allowed:
            return allowed, inf
        return allowed, moments[0] if moments else max(self._again, now + AGAIN / 10)

    def _ask(self, count: int, now: float, go_on: Callable[[], None]) -> None:
        link = self._link
        self._asking = True
        if link is not None:
            from penstock.modules.fleet import scripts

            wish = _WISH.pack(self._interval * 1e6, count, self._one_by_one)

            def told(reply: list[Reply] | None) -> None:
                self._told(reply, count)
                go_on()

            if link.ask(scripts.drain, wish, told):
                return
        self._take(count, now)

    def _told(self, reply: list[Reply] | None, count: int) -> None:
        now = self._loop.timers.now
        match reply:
            case [1, int(granted), int(wait)]:
                self._asking = False
                first = now + wait / 1e6
                self._moments.extend(first + number * self._interval for number in range(granted))
                self._again = now if granted else now + AGAIN
            case [2]:
                self._asking = False
                self._again = now + 1.0
            case _:
                self._take(count, now)

    def _take(self, count: int, now: float) -> None:
        """Take moments out of this machine's own cell."""
        self._asking = False
        interval = self._interval * (1 if self._link is None else self._link.nodes)
        memory = self._memory
        with memory:
            at = memory.find(self._digest)
            if at < 0:
                at = memory.put(self._digest, _NEXT.pack(now, 0.0))
            following = max(now, memory.read(at, _NEXT)[0])
            granted = max(0, min(count, int((now + AHEAD - following) / interval)))
            memory.write(at, _NEXT.pack(following + granted * interval, 0.0))
        self._moments.extend(following + number * interval for number in range(granted))
        self._again = now if granted else now + AGAIN


def budget_of(loop: Loop, plan: Plan) -> DrainBudget | None:
    """Return the budget of a plan's drains; None where they have none."""
    rule, memory = drain_rule(plan), plan.shared.get(DRAIN_MEMORY)
    if rule is None or not rule.budget or memory is None:
        return None
    fleet = plan.shared.get(FLEET)
    return DrainBudget(loop, rule, memory, None if fleet is None else fleet.link)
