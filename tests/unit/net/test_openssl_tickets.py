"""Keys of tickets that turn with time: every process has the same, and knows no more than two."""

from __future__ import annotations

import pytest

from penstock.net import openssl_tickets
from penstock.net.openssl_tickets import GivenKeys, TurningKeys, random_key


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(openssl_tickets.time, "monotonic", lambda: clock.now)
    return clock


def copied(keys: TurningKeys) -> TurningKeys:
    """As a fork copies it."""
    other = TurningKeys.__new__(TurningKeys)
    for name in TurningKeys.__slots__:
        setattr(other, name, getattr(keys, name))
    return other


def test_a_key_stays_for_a_period(clock: Clock) -> None:
    keys = TurningKeys(300)
    first = keys.now()
    clock.now += 299
    assert keys.now() == first
    clock.now += 2
    assert keys.now()[0] != first[0]
    assert keys.now()[1] == first[0]
    clock.now += 300
    assert first[0] not in keys.now()


def test_processes_agree_however_often_they_look(clock: Clock) -> None:
    keys = TurningKeys(60)
    busy, lazy = copied(keys), copied(keys)
    for _ in range(50):
        clock.now += 13
        busy.now()
    assert list(busy.now()) == list(lazy.now())
    clock.now += 59
    assert list(busy.now()) == list(lazy.now()) == list(keys.now())


def test_zones_do_not_share() -> None:
    assert TurningKeys(60).now() != TurningKeys(60).now()


def test_a_period_is_a_second_at_least(clock: Clock) -> None:
    keys = TurningKeys(0)
    first = keys.now()
    clock.now += 0.5
    assert keys.now() == first


def test_lengths() -> None:
    key = random_key()
    assert (len(key.name), len(key.cipher), len(key.mac)) == (16, 32, 32)
    assert GivenKeys([key]).now() == (key,)
