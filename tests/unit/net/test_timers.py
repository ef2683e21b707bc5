"""Deadlines: due when they should be, moved at no cost, and never keeping anything alive."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.net.fiber import current, pause
from penstock.net.loop import Loop
from penstock.net.timers import Alarm, Timers


def at(timers: Timers, now: float) -> None:
    timers.now = now
    timers.run(now)


def test_is_called_once_when_due() -> None:
    timers = Timers()
    timers.now = 100.0
    calls: list[float] = []
    alarm = Alarm(timers, lambda: calls.append(timers.now))
    alarm.set(5)
    at(timers, 104.9)
    assert calls == []
    at(timers, 105.1)
    at(timers, 300)
    assert calls == [105.1]


def test_moving_a_deadline_later_pushes_nothing() -> None:
    timers = Timers()
    timers.now = 0.0
    alarm = Alarm(timers, lambda: None)
    for moment in range(1000):
        timers.now = moment / 100
        alarm.set(60)
    assert len(timers.heap) == 1
    at(timers, 60)
    assert alarm.deadline > 60
    assert len(timers.heap) == 1


def test_moving_a_deadline_earlier_is_seen() -> None:
    timers = Timers()
    timers.now = 0.0
    calls: list[float] = []
    alarm = Alarm(timers, lambda: calls.append(timers.now))
    alarm.set(60)
    alarm.set(1)
    assert timers.next == 1
    at(timers, 2)
    at(timers, 61)
    assert calls == [2]
    assert timers.heap == []


def test_a_cleared_alarm_vanishes_when_its_entry_comes_up() -> None:
    timers = Timers()
    timers.now = 0.0
    alarm = Alarm(timers, lambda: 1 / 0)
    alarm.set(1)
    alarm.clear()
    at(timers, 2)
    assert timers.heap == []
    assert timers.next == float("inf")


def test_a_closed_alarm_keeps_nothing_alive() -> None:
    class Connection:
        def __init__(self, timers: Timers) -> None:
            self.alarm = Alarm(timers, self.late)

        def late(self) -> None:
            raise AssertionError

    gc.disable()
    try:
        timers = Timers()
        connection = Connection(timers)
        connection.alarm.set(60)
        gone = weakref.ref(connection)
        connection.alarm.close()
        del connection
        assert gone() is None
        assert len(timers.heap) == 1
    finally:
        gc.enable()


def test_entries_of_closed_alarms_do_not_fill_the_heap() -> None:
    timers = Timers()
    for _ in range(5000):
        alarm = Alarm(timers, lambda: None)
        alarm.set(60)
        alarm.close()
    assert len(timers.heap) < 600


def test_an_alarm_cleared_by_another_that_is_due_with_it_stays_silent() -> None:
    timers = Timers()
    timers.now = 0.0
    calls: list[str] = []
    second = Alarm(timers, lambda: calls.append("second"))

    def first_rings() -> None:
        calls.append("first")
        second.clear()

    first = Alarm(timers, first_rings)
    first.set(1)
    second.set(1.5)
    at(timers, 2)
    assert calls == ["first"]


def test_a_callback_that_fails_does_not_lose_the_others() -> None:
    timers = Timers()
    timers.now = 0.0
    failures: list[Exception] = []
    timers.on_error = failures.append
    calls: list[int] = []
    bad = Alarm(timers, lambda: 1 / 0)
    good = Alarm(timers, lambda: calls.append(1))
    bad.set(1)
    good.set(1)
    at(timers, 2)
    assert calls == [1]
    assert isinstance(failures[0], ZeroDivisionError)


@given(st.lists(st.tuples(st.sampled_from(["set", "clear", "tick"]), st.integers(0, 3), st.integers(1, 50))))
def test_behaves_as_a_table_of_deadlines(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is done to four alarms, those ring that a plain table of deadlines says."""
    timers = Timers()
    timers.now = now = 0.0
    rang: list[int] = []
    alarms = [Alarm(timers, lambda i=i: rang.append(i)) for i in range(4)]  # type: ignore[misc]
    table: dict[int, float] = {}
    for what, which, amount in steps:
        if what == "set":
            alarms[which].set(amount)
            table[which] = now + amount
        elif what == "clear":
            alarms[which].clear()
            table.pop(which, None)
        else:
            now += amount
            at(timers, now)
            due = sorted(i for i, when in table.items() if when <= now)
            assert sorted(rang) == due
            rang.clear()
            for i in due:
                del table[i]
            assert timers.next >= now


def test_the_loop_rings_alarms(loop: Loop, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    async def main() -> float:
        begun = loop.time()
        Alarm(loop.timers, current().resume).set(0.05)
        await pause()
        return loop.time() - begun

    assert 0.045 <= run(main()) < 8


def test_an_alarm_that_was_taken_back_serves_another() -> None:
    timers = Timers()
    timers.now = 100.0
    called: list[str] = []
    first = timers.lend(lambda: called.append("first"))
    first.set(10)
    timers.reclaim(first)
    second = timers.lend(lambda: called.append("second"))
    assert second is first and timers.lend(lambda: None) is not first
    second.set(20)
    assert len(timers.heap) == 1, "the entry is early, and is pushed again when it comes up"
    timers.now = 111.0
    timers.run(111.0)
    assert called == [] and len(timers.heap) == 1 and timers.next == 120.0
    timers.run(121.0)
    assert called == ["second"] and timers.heap == []
    second.set(5)
    assert timers.next == 116.0, "earlier than what it had, which is nothing"
    timers.reclaim(second)
    timers.run(117.0)
    assert called == ["second"] and timers.heap == [] and timers.next == inf


def test_one_that_is_due_may_be_lent_by_another_that_is() -> None:
    timers = Timers()
    called: list[str] = []
    lent: list[Alarm] = []

    def end() -> None:
        called.append("ends the other")
        timers.reclaim(other)
        lent.append(timers.lend(lambda: called.append("lent")))
        lent[0].set(50)

    Alarm(timers, end).at(1.0)
    other = Alarm(timers, lambda: called.append("other"))
    other.at(2.0)
    timers.now = 3.0
    timers.run(3.0)
    assert called == ["ends the other"] and lent == [other] and timers.next == 53.0


def test_few_are_kept_for_others() -> None:
    timers = Timers()
    alarms = [Alarm(timers, lambda: None) for _ in range(1000)]
    for alarm in alarms:
        alarm.set(60)
        timers.reclaim(alarm)
    lent = [timers.lend(lambda: None) for _ in range(1000)]
    assert 0 < sum(alarm in alarms for alarm in lent) < 500
    assert len(timers.heap) < 1000
