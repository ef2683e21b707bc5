"""Takes up lists of servers that have come while the plan is in force (`servers_from`), in a worker.

Tunnels to servers that are told to drain, or are on no list any more, go as they do after a reload: by
`websocket_drain`, with `removed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.modules.upstream.server_list import read_plain
from penstock.modules.upstream.upstream import UPSTREAMS, Upstreams
from penstock.net.fiber import Fiber
from penstock.server.websocket.drain_servers import drain_servers

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.plan.plan import Plan
    from penstock.server.websocket.drain import Drained

LOOK = 0.1
"""Seconds between two looks at whether there is a newer list."""


def follow_lists(loop: Loop, plan: Plan, needed: Callable[[], bool]) -> list[Fiber[None]]:
    """Go by new lists as long as that is `needed`. Returned is what does so, if there is any source."""
    found = [each for each in plan.each(UPSTREAMS) if each.listed]
    if not found:
        return []
    fiber = Fiber(FollowedLists(loop, plan, found).run(needed))
    fiber.resume()
    return [fiber]


class FollowedLists:
    """The lists of one plan, and the versions of them that this worker goes by."""

    __slots__ = ("_going", "_loop", "_plan", "_upstreams", "_versions")

    def __init__(self, loop: Loop, plan: Plan, upstreams: list[Upstreams]) -> None:
        self._loop = loop
        self._plan = plan
        self._upstreams = upstreams
        self._versions = [0] * len(upstreams)
        self._going: set[Drained] = set()

    async def run(self, needed: Callable[[], bool]) -> None:
        """Look again and again."""
        while needed():
            self.take_up()
            await asyncio.sleep(LOOK)

    def take_up(self) -> None:
        """Take up what is new."""
        changed = False
        for at, each in enumerate(self._upstreams):
            lists = each.lists
            if lists is None or lists.version == self._versions[at]:
                continue
            with lists:
                self._versions[at], state = lists.version, lists.read()
            for member in each.listed:
                known = state.get(member.text)
                if known is not None:
                    changed = member.go_by(read_plain(known["servers"])) or changed
        if changed:
            drain_servers(self._loop, self._plan, self._going)
