"""What making room costs: connections that are looked at are counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from penstock.net.timers import Timers
from penstock.server.room import A_SECOND, FURTHER, LOOKS, Room


class Connection:
    abort = None
    drain = None
    tunnelled = reading = leaving = beginning = False

    def __init__(self, service: Any, number: int, *, idle: bool = True, stirs: bool = False) -> None:
        self.number = number
        self.since = float(number)
        self.idle = idle
        self.request_started = 0.0
        self.service = service
        self.stream = SimpleNamespace(stirs=lambda: stirs, close=self.closed, closed=False)
        self.fiber: object | None = object()

    def closed(self) -> None:
        self.fiber = None
        self.stream.closed = True
        self.service.connections.discard(self)
        self.service.ended.append(self.number)


def service_with(*kinds: tuple[int, dict[str, bool]]) -> Any:
    service = SimpleNamespace(timers=Timers(), connections=set(), ended=[], plan=SimpleNamespace(shared={}))
    number = 0
    for count, kind in kinds:
        for _ in range(count):
            number += 1
            service.connections.add(Connection(service, number, **kind))
    return service


def test_the_oldest_first_and_each_is_looked_at_once() -> None:
    service = service_with((LOOKS, {}))
    room = Room(service)
    for _ in range(100):
        assert room.for_connection(LOOKS)
    assert service.ended == list(range(1, 101))
    assert room.looked == LOOKS


def test_a_bound_for_each_new_one() -> None:
    service = service_with((20_000, {}))
    room = Room(service)
    before = 0
    for _ in range(1000):
        assert room.for_connection(20_000)
        assert room.looked - before <= LOOKS
        before = room.looked
    assert room.looked <= 20_000, "what was found is used up first"


def test_who_is_at_work_is_left_alone_at_a_bounded_cost() -> None:
    service = service_with((10_000, {"idle": False}), (5, {"stirs": True}))
    room = Room(service)
    for count in range(1, 50):
        assert not room.for_connection(10_005)
        assert room.looked <= count * LOOKS + FURTHER
    service.timers.now += 0.1
    before = room.looked
    for count in range(1, 50):
        assert not room.for_connection(10_005)
        assert room.looked - before <= count * LOOKS + A_SECOND / 10 + LOOKS
    assert service.ended == []


def test_the_few_that_are_idle_among_many_are_found() -> None:
    service = service_with((5_000, {"idle": False}), (3, {}))
    room = Room(service)
    assert [room.for_connection(5_003) for _ in range(4)] == [True, True, True, False], "at once"
    # They are looked at in no order, some hundred at a time.
    assert sorted(service.ended) == [5001, 5002, 5003]


def test_nothing_is_kept_where_nobody_needs_room() -> None:
    service = service_with((1000, {}))
    room = Room(service)
    assert room.for_connection(1000)
    service.timers.now += 10
    service.timers.run(service.timers.now)
    assert room._found == [] and room._round is None
