"""A place whose worker has died gets another one: at once the first time, later and later where they die in a row."""

from time import monotonic
from types import SimpleNamespace
from typing import Any

from penstock.process.master.comebacks import LONGEST_DELAY, PROVEN, Comebacks


def dead(index: int, failures: int, age: float = 0.0) -> Any:
    return SimpleNamespace(index=index, failures=failures, started=monotonic() - age)


def test_the_first_death_is_made_up_for_at_once() -> None:
    due = Comebacks()
    assert not due
    due.after(dead(3, 0))
    assert due and due.places == {3}
    assert due.take_ready() == [(3, 1)]
    assert not due


def test_deaths_in_a_row_are_made_up_for_later_and_later() -> None:
    waits = []
    for failures in range(1, 12):
        due = Comebacks()
        due.after(dead(0, failures))
        assert due.take_ready() == []
        waits.append(round(due.moments[0] - monotonic(), 1))
    assert waits == sorted(waits) and waits[0] < waits[-1] <= LONGEST_DELAY


def test_who_has_lived_for_a_while_begins_a_new_row() -> None:
    due = Comebacks()
    due.after(dead(0, 9, PROVEN + 1))
    assert due.take_ready() == [(0, 1)]


def test_places_that_are_not_wanted_are_forgotten() -> None:
    due = Comebacks()
    due.only([0, 1, 2])
    due.keep(range(2))
    assert due.places == {0, 1}
    due.later(1, 4)
    due.clear()
    assert not due
