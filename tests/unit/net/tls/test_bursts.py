"""What many handshakes leave behind is given back once there are no more of them."""

from __future__ import annotations

import pytest

from penstock.net.timers import Timers
from penstock.net.tls import bursts
from penstock.net.tls.bursts import LULL, MANY, Bursts


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    calls: list[float] = []
    monkeypatch.setattr(bursts, "give_back_freed", lambda: calls.append(1.0))
    return calls


@pytest.fixture
def timers() -> Timers:
    return Timers()


def passes(timers: Timers, seconds: float) -> None:
    timers.now += seconds
    timers.run(timers.now)


def test_it_is_done_in_the_first_lull(timers: Timers, given_back: list[float]) -> None:
    seen = Bursts(timers)
    for _ in range(20):
        for _ in range(MANY):
            seen.note()
        passes(timers, LULL)
    assert not given_back
    passes(timers, LULL)
    assert len(given_back) == 1
    passes(timers, 10 * LULL)
    assert len(given_back) == 1 and not timers.heap, "nobody is woken for nothing"


def test_what_takes_long_is_seldom_done(
    timers: Timers, given_back: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((0.0, 0.01, 0.0, 0.0))
    monkeypatch.setattr(bursts, "monotonic", lambda: timers.now + next(clock))
    seen = Bursts(timers)

    def burst() -> None:
        for _ in range(MANY):
            seen.note()
        passes(timers, LULL)
        passes(timers, LULL)

    burst()
    assert len(given_back) == 1
    burst()
    passes(timers, 9)
    assert len(given_back) == 1
    passes(timers, 1)
    passes(timers, LULL)
    assert len(given_back) == 2


def test_a_few_are_no_burst(timers: Timers, given_back: list[float]) -> None:
    seen = Bursts(timers)
    for _ in range(2):
        for _ in range(MANY - 1):
            seen.note()
            passes(timers, 0.001)
        assert not timers.heap
        seen.note()
        passes(timers, LULL)
        passes(timers, LULL)
    assert len(given_back) == 2
