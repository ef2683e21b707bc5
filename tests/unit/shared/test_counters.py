"""Figures of workers: summed up, and kept when a worker is gone."""

import os

from penstock.shared.counters import Counters, Figures


def test_a_sum_over_shares() -> None:
    counters = Counters()
    first, second = counters.share(), counters.share()
    assert first is not None and second is not None
    first.put(Figures(1, 2, 3, 4, 5, 6, 7))
    second.put(Figures(10, 20, 30, 40, 50, 60, 70))
    assert first.total() == Figures(11, 22, 33, 44, 55, 66, 77)
    first.put(Figures(2, 2, 3, 0, 0, 0, 0))
    assert counters.total() == Figures(12, 22, 33, 40, 50, 60, 70)


def test_who_is_gone_leaves_what_was_done() -> None:
    counters = Counters()
    for _ in range(3):
        pid = os.fork()
        if not pid:
            share = counters.share()
            if share is not None:
                share.put(Figures(5, 4, 9, 1, 0, 1, 0))
            os._exit(0)
        os.waitpid(pid, 0)
    assert counters.total() == Figures(15, 12, 27, 0, 0, 0, 0)
    assert counters.total() == Figures(15, 12, 27, 0, 0, 0, 0)
