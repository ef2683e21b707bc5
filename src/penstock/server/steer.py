"""What is set of upstreams in one worker is in force in all of them before whoever asked has the answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.modules.upstream.steering import (
    SteeringRefused,
    add_server,
    find_group,
    follow_steering,
    remove_server,
    reset_group,
    set_server,
    steer,
)
from penstock.modules.upstream.upstream import UPSTREAMS
from penstock.observe.upstream_list import ToldUpstream, described
from penstock.shared.steering import STEERING

if TYPE_CHECKING:
    from penstock.server.service import Service

PATIENCE = 2.0
"""Seconds that other workers have to go by it."""
_LOOK = 0.002


def upstreams_of_worker(service: Service, name: str = "") -> list[ToldUpstream]:
    """Describe the upstreams as this worker sees them; one alone if it is named. Raises `SteeringRefused`."""
    upstreams = service.plan.shared.get(UPSTREAMS)
    groups = [] if upstreams is None else list(upstreams.groups.values())
    if name:
        groups = [find_group(service.plan, name)]
    return described(groups, service.loop.tunnels, service.timers.now)


async def steer_all(service: Service, order: Mapping[str, Any]) -> int:
    """Do what is asked in all workers, and return the number of the server that it was about, -1 for none.

    `order` has "act" (set, add, remove or reset), "upstream", "peer" (a number or an address) and "options". Raises
    `SteeringRefused`, with nothing changed.
    """
    plan, act, upstream = service.plan, order.get("act"), order.get("upstream")
    options, which = order.get("options", {}), order.get("peer", "")
    if not isinstance(upstream, str) or not isinstance(options, dict) or type(which) not in (int, str):
        raise SteeringRefused(400, "UpstreamConfFormatError", "this is no change of an upstream")
    number = -1
    if act == "set":
        number = set_server(plan, upstream, which, options)
    elif act == "add":
        number = add_server(plan, upstream, options)
    elif act == "remove":
        remove_server(plan, upstream, which)
    elif act == "reset":
        reset_group(plan, upstream)
    else:
        raise SteeringRefused(400, "UpstreamConfFormatError", "a change is set, add, remove or reset")
    await _followed(service)
    return number


def go_by(service: Service) -> None:
    """Go by what is set now, in this worker."""
    follow_steering(service.plan, steer(service.plan))


async def _followed(service: Service) -> None:
    """Wait until all workers go by it."""
    go_by(service)
    memory = service.plan.shared.get(STEERING)
    assert memory is not None
    version = memory.version
    if not service.tell_others():
        return
    deadline = service.loop.time() + PATIENCE
    while not memory.followed(version) and service.loop.time() < deadline:
        await asyncio.sleep(_LOOK)


def told(service: Service, name: str = "") -> dict[str, Any]:
    """Answer whoever asks by the control socket."""
    found = upstreams_of_worker(service, name)
    tunnels = len(service.loop.tunnels)
    return {"pid": os.getpid(), "open": tunnels, "matched": tunnels, "upstreams": found}
