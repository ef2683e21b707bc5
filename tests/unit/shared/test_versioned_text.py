"""What is set for all workers: text, version, and who goes by it."""

import pytest

from penstock.shared.steering import SteeringMemory
from penstock.shared.versioned_text import SIZE, TooMuch


def test_a_version_for_each_change() -> None:
    memory = SteeringMemory()
    with memory:
        assert (memory.version, memory.read()) == (0, {})
        assert memory.write({"app": {"next": 1}}) == 1
        assert memory.write({}) == 2
        assert memory.read() == {}


def test_who_goes_by_it() -> None:
    memory = SteeringMemory()
    assert memory.followed(7), "there is nobody"
    memory.follow(6)
    assert memory.followed(6) and not memory.followed(7)
    memory.follow(7)
    assert memory.followed(7)


def test_too_much_changes_nothing() -> None:
    memory = SteeringMemory()
    with memory:
        memory.write({"app": 1})
        with pytest.raises(TooMuch):
            memory.write({"app": "x" * SIZE})
        assert (memory.version, memory.read()) == (1, {"app": 1})


def test_it_is_read_while_it_is_changed() -> None:
    """A writer that holds the lock, or has died amid writing, keeps nobody from reading what holds."""
    memory = SteeringMemory()
    with memory:
        memory.write({"app": 1})
        place = memory._place(2)
        memory.memory[place : place + 8] = b"\xff" * 8  # the half of a next one
    assert memory.latest() == (1, {"app": 1})
    with memory:
        assert memory.read() == {"app": 1}
        assert memory.write({"app": 2}) == 2
    assert memory.latest() == (2, {"app": 2})
