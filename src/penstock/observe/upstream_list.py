"""Upstreams and their servers as plain values, for `penstock upstreams`, the API and the dashboard.

Each worker describes what it sees; `merged` makes one of what all workers say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.upstream.peers.health import CheckState, LastResult, standing
from penstock.upstream.peers.steering import NumberedPeer, numbered
from penstock.upstream.peers.zone_table import SharedPeer

if TYPE_CHECKING:
    from penstock.net.relay.tunnel import Tunnel
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer

ToldUpstream: TypeAlias = dict[str, Any]  # JSON; what has which type is said where it is made

_SUMMED = ("own", "tunnels", "requests", "failures", "unavailable")


def described(groups: Iterable[Group], tunnels: Iterable[Tunnel], now: float) -> list[ToldUpstream]:
    """Describe groups as this worker sees them. `now` is the loop's time."""
    count: dict[int, int] = {}
    for tunnel in tunnels:
        peer = getattr(tunnel.owner, "peer", None)
        if peer is not None:
            place = id(_heir(peer))
            count[place] = count.get(place, 0) + 1
    return [_described(group, count, now) for group in groups]


def _heir(peer: Peer) -> Peer:
    while peer.heir is not None:
        peer = peer.heir
    return peer


def _described(group: Group, tunnels: Mapping[int, int], now: float) -> ToldUpstream:
    return {
        "name": group.name,
        "zone": group.zone,
        "state_file": group.state_file,
        "idle": 0 if group.pool is None else len(group.pool),
        "queue": _queue(group),
        "peers": [_described_peer(each, tunnels, now) for each in numbered(group)],
    }


def _queue(group: Group) -> dict[str, int] | None:
    queue = group.queue
    if queue is None:
        return None
    return {"size": len(queue), "max_size": queue.most, "overflows": queue.overflows}


def _described_peer(each: NumberedPeer, tunnels: Mapping[int, int], now: float) -> dict[str, Any]:
    peer = each.peer
    options, health = peer.options, peer.health
    shared = isinstance(peer, SharedPeer)
    state = standing(peer, now)
    return {
        "id": each.number,
        "server": peer.server,
        "name": peer.name,
        "backup": options.backup,
        "weight": options.weight,
        "state": state,
        "since": _since(each, state, now),
        "shared": shared,
        "active": peer.active,
        "own": peer.own,
        "tunnels": tunnels.get(id(peer), 0),
        "requests": peer.served,
        "failures": peer.failures,
        "unavailable": peer.unavailable,
        "fails": peer.fails,
        "max_conns": options.max_conns,
        "max_fails": options.max_fails,
        "fail_timeout": options.fail_timeout,
        "slow_start": options.slow_start,
        "route": options.route,
        "down": options.down,
        "drain": options.drain,
        "set": bool(each.at),
        "added": each.added,
        "header_time": health.header_time if health.timed else None,
        "response_time": health.response_time if health.timed else None,
        "checks": None
        if not health.checks and health.state == CheckState.UNKNOWN
        else {
            "checks": health.checks,
            "fails": health.failed,
            "unhealthy": health.unhealthy,
            "last_passed": health.last == LastResult.PASSED if health.last != LastResult.NONE else None,
            "ago": max(0.0, now - health.last_at) if health.last_at else None,
            "why": health.why,
        },
    }


def _since(each: NumberedPeer, state: str, now: float) -> float | None:
    """Return for how many seconds it has been so; None if that is not known."""
    peer = each.peer
    if state in ("down", "draining"):
        return max(0.0, time() - each.at) if each.at else None
    if state == "unavail":
        return max(0.0, now - peer.accessed)
    return max(0.0, now - peer.health.since) if peer.health.since else None


def merged(answers: Sequence[Sequence[ToldUpstream]]) -> list[ToldUpstream]:
    """Make one of what several workers say; the first one's words stand for what all of them see alike."""
    found: dict[str, ToldUpstream] = {}
    for answer in answers:
        for upstream in answer:
            own = upstream["queue"]
            queue = None if own is None else dict.fromkeys(own, 0)
            known = found.setdefault(upstream["name"], {**upstream, "idle": 0, "peers": {}, "queue": queue})
            known["idle"] += upstream["idle"]
            if own is not None and known["queue"] is not None:
                known["queue"] = {name: count + own[name] for name, count in known["queue"].items()}
            for peer in upstream["peers"]:
                _add(known["peers"], peer)
    for upstream in found.values():
        upstream["peers"] = sorted(upstream["peers"].values(), key=lambda peer: int(peer["id"]))
    return list(found.values())


def _add(peers: dict[int, dict[str, Any]], peer: dict[str, Any]) -> None:
    known = peers.get(peer["id"])
    if known is None:
        peers[peer["id"]] = dict(peer)
        return
    for name in _SUMMED:
        known[name] += peer[name]
    if not known["shared"]:
        known["active"] = known["own"]
        # Each worker judges for itself: what one of them does not use is worth knowing.
        if known["state"] == "up" and peer["state"] != "up":
            known["state"], known["since"] = peer["state"], peer["since"]
