"""What the master answers to workers that ask: once the right reload has ended, with its lines."""

from types import SimpleNamespace

import pytest

from penstock.observe.errorlog import EMERG, INFO, report
from penstock.process.channel import Message
from penstock.process.master.asked import MOST_WAITING, TOLD, Asked


class Heard:
    """A worker's channel that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict] = []

    def send(self, kind: str, fields: dict) -> bool:
        assert kind == TOLD
        self.told.append(fields)
        return True


@pytest.fixture
def child():
    return SimpleNamespace(pid=7, leaving=False, channel=Heard())


def ask(number: int, what: str = "reload") -> Message:
    return Message("ask", {"id": number, "what": what})


def test_who_asks_is_told_when_it_has_ended(child) -> None:
    asked = Asked(lambda: True, lambda: False, {7: child})
    asked.answer(child, ask(1))
    assert child.channel.told == []
    report(None, EMERG, "a mistake")
    report(None, INFO, "no matter")
    asked.reloaded(succeeded=False)
    assert child.channel.told == [{"id": 1, "succeeded": False, "lines": ["a mistake"]}]
    report(None, EMERG, "of another time")
    asked.answer(child, ask(2))
    asked.reloaded(succeeded=True)
    assert child.channel.told[1:] == [{"id": 2, "succeeded": True, "lines": []}]


def test_one_that_is_under_way_is_not_the_one_that_was_asked_for(child) -> None:
    asked = Asked(lambda: True, lambda: True, {7: child})
    asked.answer(child, ask(1))
    asked.reloaded(succeeded=True)
    assert child.channel.told == []
    asked.reloaded(succeeded=False)
    assert child.channel.told[0]["succeeded"] is False


def test_what_can_not_be_is_said_at_once(child) -> None:
    asked = Asked(lambda: False, lambda: False, {7: child})
    asked.answer(child, ask(1))
    assert child.channel.told[0]["succeeded"] is False
    asked.answer(child, Message("ask", {"id": "x"}))
    assert len(child.channel.told) == 1
    busy = Asked(lambda: True, lambda: False, {7: child})
    for number in range(MOST_WAITING + 1):
        busy.answer(child, ask(number))
    assert child.channel.told[-1]["lines"] == ["too many wait for a reload"]
    busy.reloaded(succeeded=True)


def test_processes(child) -> None:
    asked = Asked(lambda: True, lambda: False, {7: child})
    asked.answer(child, ask(3, "processes"))
    assert child.channel.told == [{"id": 3, "processes": [{"pid": 7, "exiting": False}]}]
