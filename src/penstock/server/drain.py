"""Ends tunnels one after the other, spread over a window, so that their clients do not all come back at once.

    |--x---|-x----|----x-|x-----| ...        each tunnel has a slot of its own, and a moment in it by chance

A WebSocket is ended with a close frame in both directions (`farewell.py`); any other tunnel is closed. What opens
meanwhile, where everything is to go, gets a moment in what is left of the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from random import random, shuffle
from typing import TYPE_CHECKING

from penstock.modules.websocket_drain import DrainRule, drain_rule
from penstock.net.timers import Alarm
from penstock.net.tunnel import End, Tunnel
from penstock.observe.errorlog import NOTICE, report
from penstock.upstream.upgrade import address_parts
from penstock.websocket.endings import Why

if TYPE_CHECKING:
    from penstock.modules.upstream import Upstreams
    from penstock.net.loop import Loop
    from penstock.plan.plan import Plan

STEPS = 10
"""How often, in one window, the log says how far it has come."""

SOONEST = 1.0
"""Seconds between two such lines at least, and between two looks for new tunnels at most."""


class Drain:
    """`window` in seconds, `code` for close frames. `what` says in the log whose tunnels they are, `why` what the
    metrics and the access log call it; `text` goes with the close frames.

    `more` gives tunnels that are to go too, whenever it is asked; without it only those named at the start go.
    """

    def __init__(
        self,
        loop: Loop,
        tunnels: Iterable[Tunnel],
        window: float,
        code: int,
        *,
        what: str,
        why: Why = Why.DRAIN,
        text: str = "",
        more: Callable[[], Iterable[Tunnel]] | None = None,
    ) -> None:
        self._loop = loop
        self._code = code
        self._what = what
        self._why = why
        self._text = text
        self._more = more
        self._over = False
        self._began = loop.timers.now
        self._end = self._began + window
        self._step = max(SOONEST, window / STEPS)
        self._next_line = self._began + self._step
        self._alarm = Alarm(loop.timers, self._go_on)
        first = list(tunnels)
        shuffle(first)
        slot = window / max(1, len(first))
        self._plan = [(self._began + slot * (at + random()), tunnel) for at, tunnel in enumerate(first)]
        self._plan.reverse()
        self._known = set(first)
        self.ended = 0
        """How many have been told to go."""
        report(None, NOTICE, f"draining {what}: {len(first)} tunnels, {window:g}s")
        self._alarm.set(0)

    @property
    def left(self) -> int:
        """How many are still there."""
        return sum(tunnel.reason is None for tunnel in self._known)

    def finish(self) -> None:
        """All are gone: say so, once. Whoever sees it first may call this."""
        if not self._over:
            self._over = True
            self._alarm.close()
            took = self._loop.timers.now - self._began
            report(None, NOTICE, f"drained {self._what}: {self.ended} tunnels in {took:.1f}s")

    def _go_on(self) -> None:
        now = self._loop.timers.now
        plan = self._plan
        waiting: list[tuple[float, Tunnel]] = []
        while plan and plan[-1][0] <= now:
            tunnel = plan.pop()[1]
            if tunnel.paused:
                waiting.append((now + SOONEST, tunnel))  # it is about to be somebody else's
            elif tunnel.reason is None:
                self.ended += 1
                dismiss(tunnel, self._why, self._code, self._text)
        if self._more is not None:
            waiting += self._new(now)
        if waiting:
            plan += waiting
            plan.sort(key=_by_time, reverse=True)
        left = self.left
        if now >= self._next_line and left:
            self._next_line = now + self._step
            rest = max(0.0, self._end - now)
            report(None, NOTICE, f"draining {self._what}: {left} tunnels left, {rest:.0f}s to go")
        if now >= self._end and not left and not plan:
            self.finish()
            return
        if self._more is None and not left and not plan:
            self.finish()
            return
        self._alarm.at(min(now + SOONEST, plan[-1][0] if plan else inf))

    def _new(self, now: float) -> list[tuple[float, Tunnel]]:
        assert self._more is not None
        rest = max(0.0, self._end - now)
        found = [tunnel for tunnel in self._more() if tunnel not in self._known]
        self._known.update(found)
        return [(now + rest * random(), tunnel) for tunnel in found]


def drain_servers(loop: Loop, plan: Plan) -> Drain | None:
    """After a reload: end the tunnels to servers that are marked `drain` now, or, if that is wanted, are there no
    more. None where there is nothing to do."""
    rule = drain_rule(plan)
    upstreams: Upstreams | None = plan.shared.get("upstreams")
    if rule is None or upstreams is None:
        return None
    found = [tunnel for tunnel in loop.tunnels if _server_goes(tunnel, upstreams, rule)]
    return Drain(loop, found, rule.window, rule.code, what="servers that go") if found else None


def _server_goes(tunnel: Tunnel, upstreams: Upstreams, rule: DrainRule) -> bool:
    upgraded = getattr(tunnel.owner, "upgraded", None)
    if upgraded is None:
        return False
    told = upgraded.state()
    group = upstreams.find(told["group"])
    if group is None:
        return False
    address = tuple(told["peer"])
    peers = [peer for peer in group.peers if address_parts(peer.address) == address]
    return all(peer.options.drain for peer in peers) if peers else rule.removed


def dismiss(tunnel: Tunnel, why: Why, code: int = 0, text: str = "") -> None:
    """End a tunnel: a WebSocket with close frames, in bounded time, any other at once."""
    talk = getattr(tunnel.owner, "conversation", None)
    if talk is not None:
        talk.end(why, code, text=text)
    else:
        tunnel.close(End.SHUTDOWN)


def _by_time(planned: tuple[float, Tunnel]) -> float:
    return planned[0]
