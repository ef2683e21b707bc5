"""Tunnels of each worker, as the master sums them up."""

from types import SimpleNamespace

from penstock.net.timers import Timers
from penstock.process.master.tunnel_counts import CELLS, EVERY, TunnelCounts


def loop(*tunnels: int) -> SimpleNamespace:
    return SimpleNamespace(timers=Timers(), tunnels=set(tunnels))


def test_workers_are_summed_and_kept_up_to_date() -> None:
    counts = TunnelCounts()
    one, two = loop(1, 2, 3), loop(4)
    counts.keep(one, counts.cell())
    counts.keep(two, counts.cell())
    assert counts.total() == 4
    one.tunnels.clear()
    assert counts.total() == 4, "it is told now and then"
    one.timers.run(one.timers.now + EVERY)
    assert counts.total() == 1


def test_the_cell_of_one_that_has_ended_is_empty_and_used_again() -> None:
    counts = TunnelCounts()
    first = counts.cell()
    counts.keep(loop(1, 2), first)
    counts.give_back(first)
    assert counts.total() == 0
    assert counts.cell() == first


def test_one_too_many_is_not_counted() -> None:
    counts = TunnelCounts()
    cells = [counts.cell() for _ in range(CELLS + 1)]
    assert cells[-1] == -1
    counts.keep(loop(1), -1)
    counts.give_back(-1)
    assert counts.total() == 0
