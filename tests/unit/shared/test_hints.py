"""Hints that were given lately, in memory that all workers share."""

from penstock.shared.hints import Hints


def test_once_in_a_while() -> None:
    hints = Hints()
    assert hints.may_say("a", 100.0, 60.0)
    assert not hints.may_say("a", 159.9, 60.0)
    assert hints.may_say("b", 100.0, 60.0)
    assert hints.may_say("a", 160.0, 60.0)
    assert not hints.may_say("a", 161.0, 60.0)


def test_very_many_are_said_and_memory_stays() -> None:
    hints = Hints()
    assert all(hints.may_say(f"location {number}", float(number), 60.0) for number in range(5000))
    assert not hints.may_say("location 4999", 5000.0, 60.0)
