"""Ends the tunnels of this worker whose server has failed its checks, where their location wants that.

One worker checks for all, and writes what it finds where all see it: so each looks twice a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.modules.upstream.upstream import UPSTREAMS
from penstock.modules.websocket.drain import DrainRule, drain_rule
from penstock.modules.websocket.on_unhealthy import ENDS_THEM
from penstock.net.fiber import Fiber
from penstock.server.redial.move import send_away
from penstock.server.websocket.drain import Drain
from penstock.upstream.exchange.upgrade import address_parts
from penstock.upstream.peers.health import CheckState
from penstock.websocket.close_reasons import Why
from penstock.websocket.terms import DRAINED, KEPT

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.net.relay.tunnel import Tunnel
    from penstock.plan.plan import Plan
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer

LOOK = 0.5
WITHOUT = DrainRule(30.0)
"""How they are drained where `websocket_drain` says nothing."""


def follow_unhealthy(loop: Loop, plan: Plan, needed: Callable[[], bool]) -> list[Fiber[None]]:
    """End tunnels of unhealthy servers as long as that is `needed`. Returned is what does so, if anything is to do."""
    upstreams = plan.shared.get(UPSTREAMS)
    if upstreams is None or not plan.shared.get(ENDS_THEM):
        return []
    groups = [group for group in upstreams.groups.values() if group.checks]
    if not groups:
        return []
    fiber = Fiber(UnhealthyServers(loop, groups, drain_rule(plan) or WITHOUT).run(needed))
    fiber.resume()
    return [fiber]


class UnhealthyServers:
    """The servers of some groups that are unhealthy, and since when this worker knows."""

    __slots__ = ("_groups", "_known", "_loop", "_rule")

    def __init__(self, loop: Loop, groups: list[Group], rule: DrainRule) -> None:
        self._loop = loop
        self._groups = groups
        self._rule = rule
        self._known: dict[Peer, float] = {}

    async def run(self, needed: Callable[[], bool]) -> None:
        """Look again and again."""
        while needed():
            self.end_tunnels()
            await asyncio.sleep(LOOK)

    def end_tunnels(self) -> None:
        """End what is open to servers that have become unhealthy, and what was just being opened when they did."""
        now = self._loop.timers.now
        sick = [
            (group, peer)
            for group in self._groups
            for peer in group.peers
            if peer.health.state == CheckState.UNHEALTHY
        ]
        known = {peer: self._known.get(peer, 0.0) for _, peer in sick}
        for group, peer in sick:
            since = known[peer]
            tunnels = [each for each in self._loop.tunnels if each.opened >= since and _leads_to(each, group, peer)]
            known[peer] = now
            if tunnels:
                self._end(tunnels, peer)
        self._known = known

    def _end(self, tunnels: list[Tunnel], peer: Peer) -> None:
        by_code: dict[int, list[Tunnel]] = {}
        for each in tunnels:
            by_code.setdefault(_wanted(each), []).append(each)
        for code, meant in by_code.items():
            window = self._rule.window if code == DRAINED else 0.0
            what = f"what goes to {peer.name}, which is unhealthy"
            wanted = self._rule.code if code == DRAINED else code
            avoided = frozenset({address_parts(peer.address)})
            if code == DRAINED:
                send_away(self._loop, meant, window, wanted, avoided, what=what, why=Why.UNHEALTHY)
            else:
                Drain(self._loop, meant, window, wanted, what=what, why=Why.UNHEALTHY)


def _leads_to(tunnel: Tunnel, group: Group, peer: Peer) -> bool:
    """Return whether a tunnel goes to a peer, and its location does not want to keep it then."""
    upgraded = getattr(tunnel.owner, "upgraded", None)
    if upgraded is None or _wanted(tunnel) == KEPT or tunnel.reason is not None:
        return False
    told = upgraded.state()
    return told["group"] == group.name and tuple(told["peer"]) == address_parts(peer.address)


def _wanted(tunnel: Tunnel) -> int:
    """Return what the location of a tunnel wants."""
    talk = getattr(tunnel.owner, "conversation", None)
    return KEPT if talk is None else int(talk.terms.on_unhealthy)
