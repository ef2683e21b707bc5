"""How much of a quota is used: on this machine, with Redis's word and without, from one period to the next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.modules.fleet.digests import Digests
from penstock.modules.websocket import quota_counts
from penstock.modules.websocket.quota_counts import Allowance, Quota, QuotaZone
from penstock.shared.zone import Zone

HOUR = Allowance("messages", 100, 3600)
NOON = 1_000_000 * 3600


class Clock:
    """The time of day, set by the test."""

    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(quota_counts, "time", found)
    return found


def made(link: Any = None, *, size: int = 64 << 10) -> QuotaZone:
    """A zone, with `sync` where there is a link."""
    shared: Any = SimpleNamespace(
        fleet=None if link is None else SimpleNamespace(link=link), digests=None if link is None else Digests("zone")
    )
    zone = QuotaZone(shared)
    zone.counts = Zone("used", size)
    return zone


def linked(on_error: str = "local", *, nodes: int = 1) -> Any:
    return SimpleNamespace(up=True, nodes=nodes, options=SimpleNamespace(on_error=on_error))


def test_a_machine_by_itself(clock: Clock) -> None:
    zone = made()
    counter = zone.counter("a", HOUR)
    assert zone.add(counter, 0) == 0
    assert zone.add(counter, 60) == 60
    assert zone.add(zone.counter("b", HOUR), 1) == 1
    assert zone.used_up("a", Quota("zone", 0, (HOUR,))) == ""
    assert zone.add(counter, 40) == 100
    assert zone.used_up("a", Quota("zone", 0, (HOUR,))) == "messages"
    clock.now += 3599
    assert zone.add(counter, 0) == 100
    clock.now += 1
    assert zone.add(counter, 0) == 0, "another hour"
    assert zone.add(counter, 5) == 5


def test_redis_has_the_last_word(clock: Clock) -> None:
    zone = made(linked())
    counter = zone.counter("a", HOUR)
    zone.add(counter, 10)
    zone.add(counter, 5)
    assert zone.told(counter, 1_000_000, 70, 10) == 75, "70 of all, and 5 of which it has not been told"
    assert zone.known(counter) == (1_000_000, 70)
    # It was emptied: it is not believed, and told what it knew.
    assert zone.told(counter, 1_000_000, 5, 5) == 70
    # Its clock is ahead by a little, and another hour has begun there.
    assert zone.told(counter, 1_000_001, 3, 0) == 3
    clock.now += 3600
    assert zone.add(counter, 0) == 3
    clock.now += 3600
    assert zone.add(counter, 0) == 0


def test_without_redis_each_machine_has_its_share_of_what_is_left(clock: Clock) -> None:
    link = linked(nodes=4)
    zone = made(link)
    counter = zone.counter("a", HOUR)
    zone.told(counter, 1_000_000, 60, 0)
    link.up = False
    assert zone.add(counter, 9) == 60 + 4 * 9
    quota = Quota("zone", 0, (HOUR,))
    assert zone.used_up("a", quota) == ""
    assert zone.add(counter, 1) == 100
    assert zone.used_up("a", quota) == "messages"
    link.options.on_error = "open"
    assert zone.add(counter, 0) == 70
    assert zone.used_up("a", quota) == ""
    link.options.on_error = "closed"
    assert zone.used_up("a", quota) == "messages"
    assert zone.add(counter, 0) == 70, "what is open stays within what is known"


def test_a_full_zone_forgets_periods_that_are_over_and_then_the_least(clock: Clock) -> None:
    zone = made(size=32 * 32)
    for number in range(32):
        zone.add(zone.counter(str(number), HOUR), 10 + number)
    zone.add(zone.counter("more", HOUR), 5)
    assert zone.add(zone.counter("more", HOUR), 0) == 5
    assert zone.add(zone.counter("0", HOUR), 0) == 0, "it had used least"
    assert zone.add(zone.counter("31", HOUR), 0) == 41
    clock.now += 3600
    zone.add(zone.counter("fresh", HOUR), 7)
    assert zone.add(zone.counter("fresh", HOUR), 0) == 7
