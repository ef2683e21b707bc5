"""Where an exchange waits: to be let in, to hear where its session is, and for a peer, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.upstream.admission.selection import has_to_wait, let_in
from penstock.upstream.errors import FaultSide, ProxyError
from penstock.upstream.peers.queue import may_wait, worth_waiting

if TYPE_CHECKING:
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.exchange import Exchange
    from penstock.upstream.peers.peers import Peer


async def peer_in_time(exchange: Exchange) -> tuple[Peer, Stream | None]:
    """Wait for a peer; a kept connection to it comes along if there is one. Raises `ProxyError` if none comes."""
    group = exchange.plan.group
    peer = await _let_in(exchange) or await _of_session(exchange) or await _out_of_queue(exchange)
    exchange.peer = peer
    attempt = exchange.attempt
    attempt.address = peer.name
    attempt.label = peer.label
    attempt.started = exchange.stream.hot.now
    if exchange.plan.each is not None:
        exchange.plan.each(exchange)
    pool = group.pool
    policy = exchange.policy
    line = pool.take(peer.address, policy.owner, policy.basis) if pool is not None and exchange.reuses else None
    return peer, None if line is None else exchange.taken(line)


async def _let_in(exchange: Exchange) -> Peer | None:
    """Wait until a handshake is let in, where that is bounded; the peer that it gets then. Raises `NotAdmitted`."""
    gate = exchange.plan.group.admission
    request = exchange.request
    if gate is None or not has_to_wait(request, gate):
        return None
    await let_in(request, gate)
    return _chosen(exchange)


async def _of_session(exchange: Exchange) -> Peer | None:
    """Hear from other machines where the session is, if they have to be asked; the peer that it gets then."""
    selection = exchange.selection
    now = exchange.stream.hot.now
    if not selection.has_to_ask(now):
        return None
    await selection.ask(now)
    return _chosen(exchange)


def _chosen(exchange: Exchange) -> Peer | None:
    """Choose anew: the world is another one."""
    selection = exchange.selection
    now = exchange.stream.hot.now
    selection.begin_again()
    peer = selection.next(now)
    if peer is None and not exchange.reached:
        queue = exchange.plan.group.queue
        if queue is None or not worth_waiting(selection, now):
            peer = selection.last_resort(now)
    return peer


async def _out_of_queue(exchange: Exchange) -> Peer:
    """Wait in the queue of the group, if there is one. Raises `ProxyError`."""
    queue = exchange.plan.group.queue
    selection = exchange.selection
    if queue is None or exchange.reached or not may_wait(selection):
        raise ProxyError(FaultSide.UPSTREAM, 502, "", "no live upstreams while connecting to upstream")
    full = len(queue) >= queue.most
    peer = await queue.wait(selection)
    if peer is None:
        text = "upstream queue is full" if full else "upstream queue timed out"
        raise ProxyError(FaultSide.UPSTREAM, 502, "", f"{text} while connecting to upstream")
    return peer
