"""What the lines of a group come to together: its method, its sessions over that, its queue and its bounds over all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.upstream.peers.slow_start import starting_slowly

if TYPE_CHECKING:
    from penstock.upstream.peers.balancers import Balancer
    from penstock.upstream.peers.queue import Queue
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
        from penstock.upstream.peers.queue import Queueing

        balancer = Queueing(balancer)
    if admits:
        from penstock.upstream.admission.selection import Admitting

        balancer = Admitting(balancer)
    return balancer
