"""What the lines of a group come to together: its method, its sessions over that, its queue and its bounds over all."""

from __future__ import annotations

from penstock.upstream.admission.selection import Admitting
from penstock.upstream.peers.balancers import Balancer, LeastConn, PeerSelection
from penstock.upstream.peers.extended import ExtendedBalancer
from penstock.upstream.peers.least_time import LeastTimeBalancer
from penstock.upstream.peers.queue import Queue, Queueing
from penstock.upstream.peers.slow_start import SlowLeastConn, SlowRoundRobin
from penstock.upstream.peers.sticky import Sticky


def composed(
    balancer: Balancer, *, slow: bool, sticky: Sticky | None, queue: Queue | None, admits: bool = False
) -> Balancer:
    """Return the balancer of a group; `slow` if some server of it starts slowly, `admits` if handshakes are let in.

    Raises `ValueError` where the method has no weights that could be smaller for a while.
    """
    if slow:
        balancer = starting_slowly(balancer)
    if sticky is not None:
        sticky.balancer = balancer
        balancer = sticky
    if queue is not None:
        balancer = Queueing(balancer)
    return Admitting(balancer) if admits else balancer


def starting_slowly(balancer: Balancer) -> Balancer:
    """Return the balancer that a group has once a server of it starts slowly: the same one where it can do that.

    Raises `ValueError` where the method has no weights that could be smaller for a while.
    """
    if isinstance(balancer, ExtendedBalancer):
        return balancer.over(starting_slowly(balancer.inner))
    if isinstance(balancer, Sticky):
        balancer.balancer = starting_slowly(balancer.balancer)
        return balancer
    if isinstance(balancer, LeastTimeBalancer) and not balancer.two:
        return balancer
    slow = _SLOW.get(balancer) if isinstance(balancer, type) else None
    if slow is None:
        raise ValueError('balancing method does not support parameter "slow_start"')
    return slow


_SLOW: dict[type, Balancer] = {
    PeerSelection: SlowRoundRobin,
    LeastConn: SlowLeastConn,
    SlowRoundRobin: SlowRoundRobin,
    SlowLeastConn: SlowLeastConn,
}
