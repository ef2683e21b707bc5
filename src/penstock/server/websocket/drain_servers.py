"""What becomes of open tunnels and event streams when a reload takes their server away, or marks it `drain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.upstream.upstream import all_groups, groups_named
from penstock.modules.websocket.drain import DrainRule, drain_rule
from penstock.server.redial.move import MoveAway, split
from penstock.server.websocket.drain import Drain, Drained
from penstock.server.websocket.drain_budget import budget_of
from penstock.upstream.exchange.upgrade import address_parts
from penstock.websocket.close_reasons import Why

if TYPE_CHECKING:
    from penstock.http.events.live import LiveEventStream
    from penstock.net.loop import Loop
    from penstock.net.relay.tunnel import Tunnel
    from penstock.plan.plan import Plan

WITHOUT = DrainRule(30.0)
"""How what may have another server is moved where `websocket_drain` says nothing."""


def drain_servers(loop: Loop, plan: Plan, going: set[Drained] | None = None) -> Drain | None:
    """Send, after a reload, away what leads to servers marked `drain` now, or, if that is wanted, gone.

    Tunnels that may go on with another server do, the others are closed; without `websocket_drain` they stay. Returned
    is what closes, None where nothing does. Whoever calls this again and again has a set of what is `going`: that is
    left alone, and what is sent away is added.
    """
    rule = drain_rule(plan)
    kept = rule or WITHOUT
    tunnels = [tunnel for tunnel in loop.tunnels if _server_goes(tunnel, plan, kept)]
    streams = [stream for stream in loop.event_streams if _server_of_stream_goes(stream, plan, kept)]
    if going is not None:
        known = going.intersection((*tunnels, *streams))
        going.clear()
        going.update(tunnels, streams)
        tunnels = [tunnel for tunnel in tunnels if tunnel not in known]
        streams = [stream for stream in streams if stream not in known]
    may, others = split([*tunnels, *streams])
    if may:
        why = None if rule is None else Why.DRAIN
        MoveAway(loop, may, kept.window, kept.code, frozenset(), what="servers that go", why=why)
    if rule is None or not others:
        return None
    return Drain(loop, others, rule.window, rule.code, what="servers that go", budget=budget_of(loop, plan))


def _server_goes(tunnel: Tunnel, plan: Plan, rule: DrainRule) -> bool:
    upgraded = getattr(tunnel.owner, "upgraded", None)
    if upgraded is None or not upgraded.declared:
        return False
    told = upgraded.state()
    return _goes(told["group"], tuple(told["peer"]), plan, rule, of_streams=getattr(tunnel.owner, "bare", False))


def _server_of_stream_goes(stream: LiveEventStream, plan: Plan, rule: DrainRule) -> bool:
    group, address, declared = stream.place
    return declared and bool(address) and _goes(group, address, plan, rule)


def _goes(group: str, address: tuple[object, ...], plan: Plan, rule: DrainRule, *, of_streams: bool = False) -> bool:
    """Return whether a server is to be emptied. Where its group is gone with all that was in it, the server may still
    be in another: then it was only renamed, or there is a `proxy_pass` to it now."""
    named = groups_named(plan, group, of_streams=of_streams)
    groups = [group for group in named if not group.implicit] or all_groups(plan)
    peers = [peer for group in groups for peer in group.peers if address_parts(peer.address) == address]
    return all(peer.options.drain for peer in peers) if peers else rule.removed
