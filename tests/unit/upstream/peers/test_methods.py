"""What the lines of a group come to together."""

import pytest

from penstock.upstream.peers.balancers import LeastConn, PeerSelection
from penstock.upstream.peers.hashing import IpHash
from penstock.upstream.peers.least_time import LeastTimeBalancer, TimeRule
from penstock.upstream.peers.methods import composed
from penstock.upstream.peers.queue import Queue, Queueing
from penstock.upstream.peers.slow_start import SlowLeastConn, SlowRoundRobin, starting_slowly
from penstock.upstream.peers.sticky import Sticky

TIME = LeastTimeBalancer(TimeRule(header=True))


def test_where_nothing_is_switched_on_the_method_itself_chooses() -> None:
    for balancer in (PeerSelection, LeastConn, IpHash, TIME):
        assert composed(balancer, slow=False, sticky=None, queue=None) is balancer


def test_slow_servers() -> None:
    assert composed(PeerSelection, slow=True, sticky=None, queue=None) is SlowRoundRobin
    assert composed(LeastConn, slow=True, sticky=None, queue=None) is SlowLeastConn
    assert composed(TIME, slow=True, sticky=None, queue=None) is TIME
    for balancer in (IpHash, LeastTimeBalancer(TimeRule(header=True), two=True)):
        with pytest.raises(ValueError, match="slow_start"):
            composed(balancer, slow=True, sticky=None, queue=None)


def test_sessions_over_the_method_and_the_queue_over_all() -> None:
    sticky = Sticky([])
    made = composed(LeastConn, slow=True, sticky=sticky, queue=Queue(1, 1.0))
    assert isinstance(made, Queueing)
    assert sticky.balancer is SlowLeastConn


def test_a_server_that_starts_slowly_from_now_on() -> None:
    """What is over the method stays: sessions, the queue."""
    sticky = Sticky([])
    made = starting_slowly(composed(PeerSelection, slow=False, sticky=sticky, queue=Queue(1, 1.0)))
    assert isinstance(made, Queueing) and made.inner is sticky and sticky.balancer is SlowRoundRobin
    assert starting_slowly(made).inner is sticky and sticky.balancer is SlowRoundRobin  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="slow_start"):
        starting_slowly(IpHash)
