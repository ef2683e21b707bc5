"""How many handshakes may begin, and be under way, for one worker and for all."""

from __future__ import annotations

import os

import pytest

from penstock.upstream.admission.bounds import AHEAD, LOOK, Bounds, SharedBounds
from penstock.upstream.admission.rule import AdmissionRule


@pytest.fixture(params=["own", "shared"])
def bounds(request: pytest.FixtureRequest) -> Bounds:
    return Bounds() if request.param == "own" else SharedBounds("test")


@pytest.mark.parametrize("rate", [1.0, 7.0, 200.0, 5000.0])
def test_the_rate_holds_wherever_one_looks(bounds: Bounds, rate: float) -> None:
    rule = AdmissionRule(rate=rate)
    now = 1000.0
    let_in = []
    while len(let_in) < 50:
        wait = bounds.admit(rule, now)
        if wait:
            now += wait + 1e-9
        else:
            let_in.append(now)
    for first in range(50):
        for last in range(first, 50):
            assert last - first <= (let_in[last] - let_in[first] + AHEAD) * rate + 1e-3


def test_time_that_has_passed_is_not_saved_up(bounds: Bounds) -> None:
    rule = AdmissionRule(rate=10.0)
    assert bounds.admit(rule, 1000.0) == 0.0
    assert bounds.admit(rule, 2000.0) == 0.0
    assert bounds.admit(rule, 2000.0) == pytest.approx(0.1 - AHEAD)


def test_so_many_are_under_way(bounds: Bounds) -> None:
    rule = AdmissionRule(in_progress=2)
    assert [bounds.admit(rule, 1000.0) for _ in range(3)] == [0.0, 0.0, LOOK]
    assert bounds.under_way == 2
    bounds.give_up()
    assert bounds.admit(rule, 1000.0) == 0.0
    assert bounds.under_way == 2


def test_the_bounds_are_those_of_all_workers_and_nothing_is_left_of_one_that_dies() -> None:
    bounds = SharedBounds("test")
    rule = AdmissionRule(rate=1000.0, in_progress=2)
    assert bounds.admit(rule, 1000.0) == 0.0
    child = os.fork()
    if not child:
        ok = bounds.admit(rule, 1000.01) == 0.0 and bounds.admit(rule, 1000.1) == LOOK
        os.kill(os.getpid(), 9) if ok else os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert bounds.admit(rule, 1000.2) == 0.0, "its place is free"
    assert bounds.admit(rule, 1000.3) == LOOK


def test_the_clock_is_shared() -> None:
    bounds = SharedBounds("test")
    rule = AdmissionRule(rate=1.0)
    child = os.fork()
    if not child:
        os._exit(0 if bounds.admit(rule, 1000.0) == 0.0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bounds.admit(rule, 1000.0) > 0.9
