"""The checks of one group, again and again, by one worker for all.

    every worker    tries each half second to hold the lock of the group's memory
    who holds it    checks every peer, and writes what it finds where all see it
    it dies         the kernel gives the lock back, and another goes on with what is written there

What is known of a peer is in its `Health`; what is counted here are only failures and passes in a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber
from penstock.net.loop import running_loop
from penstock.upstream.checks.asking import Asking
from penstock.upstream.peers.health import CheckState

if TYPE_CHECKING:
    from penstock.upstream.checks.check import Check
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer
    from penstock.upstream.peers.zone_table import PeerTable

STEP = 0.5
"""Seconds between two looks at who checks, and at which peers there are."""

SOON = 1.0
"""Seconds within which first checks are spread."""


class Round:
    """One check of one peer, as its own fiber does it. `bad` is what it says so far, None before it has ended once."""

    __slots__ = ("bad", "check", "fails", "fiber", "passes")

    def __init__(self, check: Check, peer: Peer) -> None:
        self.check = check
        self.bad = True if peer.health.state == CheckState.UNHEALTHY else None
        self.fails = self.passes = 0
        self.fiber: Fiber[None] | None = None

    def ended(self, why: str, *, waited_for: bool) -> None:
        """Count a check. Where the peer is `waited_for`, the first one decides."""
        check = self.check
        if why:
            self.passes = 0
            self.fails += 1
            if self.fails >= check.fails or waited_for:
                self.bad = True
        else:
            self.fails = 0
            self.passes += 1
            if not self.bad or self.passes >= check.passes:
                self.bad = False


class Rounds:
    """All checks of a group. `say` takes a line for the log: whether it is good news, and the text."""

    __slots__ = ("_checks", "_group", "_known", "_say", "_table")

    def __init__(
        self, group: Group, checks: tuple[Check, ...], table: PeerTable, say: Callable[[bool, str], None]
    ) -> None:
        self._group = group
        self._checks = checks
        self._table = table
        self._say = say
        self._known: dict[Peer, list[Round]] = {}

    def begin(self, needed: Callable[[], bool]) -> Fiber[None]:
        """Start, in a worker, and go on as long as it is `needed`, or until the fiber is cancelled."""
        fiber = Fiber(self._run(needed))
        fiber.resume()
        return fiber

    async def _run(self, needed: Callable[[], bool]) -> None:
        try:
            while needed():
                self._attend(self._group.peers if self._table.checks() else [])
                await asyncio.sleep(STEP)
        finally:
            self._attend([])
            self._table.checks_no_more()

    def _attend(self, peers: list[Peer]) -> None:
        """Check these peers from now on, and no others."""
        wanted = {peer: None for peer in peers if not peer.options.down}
        for peer in [peer for peer in self._known if peer not in wanted]:
            for each in self._known.pop(peer):
                if each.fiber is not None:
                    each.fiber.cancel()
        for peer in wanted:
            if peer not in self._known:
                rounds = self._known[peer] = [Round(check, peer) for check in self._checks]
                for each in rounds:
                    each.fiber = Fiber(self._watch(peer, each, rounds))
                    each.fiber.resume()

    async def _watch(self, peer: Peer, mine: Round, all_of_it: list[Round]) -> None:
        check = mine.check
        asking = Asking(check, peer.address)
        timers = running_loop().timers
        try:
            await asyncio.sleep(random() * min(SOON, check.interval))
            while True:
                begun = timers.now
                why = await asking.ask()
                self._count(peer, mine, all_of_it, why, timers.now)
                due = begun + check.interval + random() * check.jitter
                await asyncio.sleep(max(0.001, due - timers.now))
        finally:
            asking.close()

    def _count(self, peer: Peer, mine: Round, all_of_it: list[Round], why: str, now: float) -> None:
        health = peer.health
        if why:
            health.missed(now, why)
        else:
            health.passed(now)
        mine.ended(why, waited_for=health.state == CheckState.CHECKING)
        where = f'peer {peer.name} in upstream "{self._group.name}"'
        if any(each.bad for each in all_of_it):
            if health.put_out(now):
                self._say(False, f"{where} is unhealthy: {why or 'another check fails'}")
        elif all(each.bad is not None for each in all_of_it) and health.put_in(now):
            self._say(True, f"{where} is healthy")
