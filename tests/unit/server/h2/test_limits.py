"""What a client of HTTP/2 may cost without asking for anything: each bound is met exactly, and time gives back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.http.h2.wire import ConnectionFault, ErrorCodes
from penstock.net.timers import Timers
from penstock.server.h2.limits import OVERHEAD, RESETS, RESETS_A_SECOND, SPARE_FRAMES, Budget, FloodLimits


def how_many(act: Callable[[], None], most: int = 100_000) -> tuple[int, ConnectionFault]:
    """How often it may be done, and what is raised then."""
    for count in range(most):
        try:
            act()
        except ConnectionFault as fault:
            return count, fault
    pytest.fail("there is no bound")


def test_a_budget_grows_with_time_and_no_further() -> None:
    timers = Timers()
    budget = Budget(timers, 3, 2)
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    timers.now += 1
    assert [budget.spend() for _ in range(2)] == [True, False], "the one that was refused is owed"
    timers.now += 1000
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("most", [1, RESETS, 5 * RESETS])
def test_streams_that_are_reset_are_counted(most: int) -> None:
    count, fault = how_many(FloodLimits(Timers(), most).reset)
    assert (count, fault.code) == (max(most, RESETS), ErrorCodes.ENHANCE_YOUR_CALM)


def test_a_client_that_resets_slowly_may_go_on() -> None:
    timers = Timers()
    limits = FloodLimits(timers, 10)
    for _ in range(50 * RESETS):
        limits.reset()
        timers.now += 1 / RESETS_A_SECOND


def test_frames_that_ask_for_nothing_are_counted() -> None:
    limits = FloodLimits(Timers(), 10)
    count, fault = how_many(lambda: limits.event(object()))  # type: ignore[arg-type]
    assert (count, fault.code) == (SPARE_FRAMES, ErrorCodes.ENHANCE_YOUR_CALM)


def test_streams_that_are_refused_are_counted() -> None:
    count, fault = how_many(FloodLimits(Timers(), 10).refused)
    assert (count, fault.code) == (RESETS + 1, ErrorCodes.NO_ERROR)


def test_bytes_that_are_for_nobody_are_counted() -> None:
    limits = FloodLimits(Timers(), 10)
    for _ in range(1000):
        limits.read(1 << 20, 1 << 30)  # a download that is asked for
    empty = FloodLimits(Timers(), 10)
    count, fault = how_many(lambda: empty.read(1024, 0))
    assert count == 8 * OVERHEAD // 1024
    assert fault.code == ErrorCodes.NO_ERROR
