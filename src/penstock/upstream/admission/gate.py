"""Where handshakes wait that are not let in yet: a fair queue, in which each client's address has its turn.

    address A:  1 4 5        let in: 1 2 3 4 ...      who has a thousand connections to open does not
    address B:  2            in front of one who has one
    address C:  3

Who waits too long is turned away, and whoever would wait too long is turned away at once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber, current, pause
from penstock.net.loop import running_loop
from penstock.net.timers import Alarm
from penstock.upstream.admission.bounds import Bounds

if TYPE_CHECKING:
    from penstock.upstream.admission.rule import AdmissionRule


class Arrival:
    """One that waits, until `due`. `admitted`: it may go on."""

    __slots__ = ("admitted", "due", "fiber", "gone")

    def __init__(self, fiber: Fiber[object], due: float) -> None:
        self.fiber = fiber
        self.due = due
        self.admitted = self.gone = False


class Gate:
    """The queue of one worker before some bounds. `name` is what logs call it."""

    __slots__ = ("_alarm", "_arrived", "_by_address", "_soon", "_turns", "bounds", "name", "rule", "silent", "turned")

    def __init__(self, rule: AdmissionRule, name: str, bounds: Bounds | None = None) -> None:
        self.rule = rule
        self.name = name
        self.bounds = Bounds() if bounds is None else bounds
        self.turned = 0
        """How many were turned away, and until when the log has heard of it."""
        self.silent = 0.0
        self._by_address: dict[str, deque[Arrival]] = {}
        self._turns: deque[str] = deque()
        self._arrived: deque[Arrival] = deque()
        self._alarm: Alarm | None = None
        self._soon = False

    def __len__(self) -> int:
        """Count those that wait."""
        return sum(map(len, self._by_address.values()))

    async def enter(self, address: str) -> bool:
        """Wait until a handshake from this address may go on. Return False if that would be, or was, too long.

        Who is let in says `leave` later.
        """
        loop = running_loop()
        now = loop.timers.now
        rule = self.rule
        if not self._turns and not self.bounds.admit(rule, now):
            return True
        if not rule.queue or self._estimate(address) > rule.queue:
            self.turned += 1
            return False
        mine = Arrival(current(), now + rule.queue)
        self._join(address, mine)
        if self._alarm is None:
            self._alarm = Alarm(loop.timers, self._look)
        self._look()
        try:
            while not mine.admitted and loop.timers.now < mine.due:
                await pause()
        except BaseException:
            if mine.admitted:
                self.leave()
            raise
        finally:
            mine.gone = True
            if not mine.admitted:
                self._part(address, mine)
        if not mine.admitted:
            self.turned += 1
        return mine.admitted

    def leave(self) -> None:
        """Count one less that is under way, and look soon who is next."""
        self.bounds.give_up()
        if self._turns and not self._soon:
            self._soon = True
            running_loop().call_soon(self._look)

    def _estimate(self, address: str) -> float:
        """Return the seconds that one more from this address has to wait at least, by the rate."""
        rate = self.rule.rate
        if not rate:
            return 0.0
        own = self._by_address.get(address)
        others = len(self._turns) - (own is not None)
        rounds = 1 if own is None else len(own) + 1
        return min(len(self) + 1, rounds * (others + 1)) / rate if self._turns else 0.0

    def _join(self, address: str, mine: Arrival) -> None:
        own = self._by_address.get(address)
        if own is None:
            own = self._by_address[address] = deque()
            self._turns.append(address)
        own.append(mine)
        self._arrived.append(mine)

    def _part(self, address: str, mine: Arrival) -> None:
        own = self._by_address.get(address)
        if own is not None and mine in own:
            own.remove(mine)
            if not own:
                del self._by_address[address]
                self._turns.remove(address)

    def _look(self) -> None:
        """Let in whoever may go on, tell those whose time is over, and look again when there is something to see."""
        self._soon = False
        assert self._alarm is not None
        now = running_loop().timers.now
        wait = 0.0
        while self._turns:
            wait = self.bounds.admit(self.rule, now)
            if wait:
                break
            address = self._turns.popleft()
            own = self._by_address[address]
            first = own.popleft()
            if own:
                self._turns.append(address)
            else:
                del self._by_address[address]
            first.admitted = True
            first.fiber.resume()
        arrived = self._arrived
        while arrived and (arrived[0].gone or arrived[0].due <= now):
            late = arrived.popleft()
            if not late.gone:
                late.fiber.resume()
        if arrived and self._turns:
            self._alarm.set(max(0.001, min(wait, arrived[0].due - now)))
