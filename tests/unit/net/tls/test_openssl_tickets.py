"""Secrets of tickets that turn with time: every process has the same, and knows no more than two."""

from __future__ import annotations

import pytest

from penstock.net.tls import openssl_tickets
from penstock.net.tls.openssl_tickets import GivenSecrets, TurningSecrets


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(openssl_tickets.time, "monotonic", lambda: clock.now)
    return clock


def copied(keys: TurningSecrets) -> TurningSecrets:
    """As a fork copies it."""
    other = TurningSecrets.__new__(TurningSecrets)
    for name in TurningSecrets.__slots__:
        setattr(other, name, getattr(keys, name))
    return other


def test_a_key_stays_for_a_period(clock: Clock) -> None:
    keys = TurningSecrets(300)
    first = keys.now()
    clock.now += 299
    assert keys.now() == first
    clock.now += 2
    assert keys.now()[0] != first[0]
    assert keys.now()[1] == first[0]
    clock.now += 300
    assert first[0] not in keys.now()


def test_processes_agree_however_often_they_look(clock: Clock) -> None:
    keys = TurningSecrets(60)
    busy, lazy = copied(keys), copied(keys)
    for _ in range(50):
        clock.now += 13
        busy.now()
    assert list(busy.now()) == list(lazy.now())
    clock.now += 59
    assert list(busy.now()) == list(lazy.now()) == list(keys.now())


def test_zones_do_not_share() -> None:
    assert TurningSecrets(60).now() != TurningSecrets(60).now()


def test_a_period_is_a_second_at_least(clock: Clock) -> None:
    keys = TurningSecrets(0)
    first = keys.now()
    clock.now += 0.5
    assert keys.now() == first


def test_given_secrets_stay() -> None:
    assert GivenSecrets([b"one", b"two"]).now() == (b"one", b"two")


def test_servers_that_share_a_secret_share_no_key() -> None:
    one, two = openssl_tickets._key(b"secret", b"one"), openssl_tickets._key(b"secret", b"two")
    assert one == openssl_tickets._key(b"secret", b"one")
    assert not set(one) & set(two)
    assert [len(part) for part in one] == [16, 32, 32]
