"""Figures of workers: each writes its own, all are summed, and what the dead did is not lost."""

from __future__ import annotations

import pytest

from penstock.shared import rows as module
from penstock.shared.rows import WORKERS, Row, Rows


class House:
    """Several processes in one: `me` says which one calls now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.me = 1
        self.dead: set[int] = set()
        monkeypatch.setattr(module.os, "getpid", lambda: self.me)
        monkeypatch.setattr(module, "is_alive", lambda pid: pid not in self.dead)
        self.rows = Rows("rows", 3, 2)

    def worker(self, pid: int, *figures: int) -> Row:
        self.me = pid
        row = self.rows.share()
        assert row is not None
        row.put(figures)
        return row


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


def test_each_number_is_summed_over_all_workers(house: House) -> None:
    house.worker(11, 1, 10, 100)
    two = house.worker(12, 2, 20, 200)
    assert house.rows.sums() == two.sums() == [3, 30, 300]
    house.me = 12
    two.put((5, 20, 0))
    assert house.rows.sums() == [6, 30, 100]


def test_what_a_dead_worker_did_stays_and_what_it_had_goes(house: House) -> None:
    house.worker(11, 1, 10, 100)
    house.worker(12, 2, 20, 200)
    house.dead.add(11)
    assert house.rows.sums() == [3, 30, 200]
    assert house.rows.workers() == 1
    assert house.rows.living() == {2: [2, 20, 200]}
    house.dead.add(12)
    assert house.rows.sums() == [3, 30, 0]


def test_a_row_of_the_dead_is_used_again_and_counted_once(house: House) -> None:
    first = house.worker(11, 7, 0, 1)
    house.dead.add(11)
    second = house.worker(12, 1, 0, 0)
    assert first.number == second.number == 1
    assert house.rows.sums() == [8, 0, 0]
    assert house.rows.workers() == 1


def test_a_worker_sees_the_first_number_of_others(house: House) -> None:
    one = house.worker(11, 4, 0, 0)
    two = house.worker(12, 6, 0, 0)
    assert one.others() == [(6, two.number)]
    assert two.others() == [(4, one.number)]


def test_where_all_rows_are_taken_one_does_without(house: House) -> None:
    for number in range(1, WORKERS + 1):
        house.rows._put(number, (number, 0, 0, 0))
    house.rows._put(0, (WORKERS, 0, 0, 0))
    assert house.rows.share() is None
    house.dead.add(500)
    row = house.rows.share()
    assert row is not None
    assert row.number == 500
