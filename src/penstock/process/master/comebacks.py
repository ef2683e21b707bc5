"""When another worker begins in a place where one has died: at once the first time, later and later where they die
again and again."""

from __future__ import annotations

from collections.abc import Container, Iterable
from time import monotonic

from penstock.observe.errorlog import ERROR, report
from penstock.process.master.child import Child

PROVEN = 10.0
"""Seconds after which a worker's death is no longer one of a row."""

LONGEST_DELAY = 10.0


class Comebacks:
    """The places where a worker is to come, each with its moment and how many have died there in a row."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: list[tuple[float, int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._due)

    @property
    def places(self) -> set[int]:
        """Return the places where one is to come."""
        return {index for _, index, _ in self._due}

    @property
    def moments(self) -> list[float]:
        """Return when to look, monotonic moments."""
        return [when for when, _, _ in self._due]

    def after(self, child: Child) -> None:
        """Have another one come in the place of a worker that has died."""
        failures = 0 if monotonic() - child.started > PROVEN else child.failures
        delay = min(LONGEST_DELAY, 0.1 * 2 ** (failures - 1)) if failures else 0.0
        if failures:
            words = f"{failures + 1} workers in a row have died soon after their start"
            report(None, ERROR, f"{words}: the next one in this place begins in {delay:g}s")
        self._due.append((monotonic() + delay, child.index, failures + 1))

    def later(self, index: int, failures: int) -> None:
        """Have one come in a place where none could be made now."""
        self._due.append((monotonic() + LONGEST_DELAY, index, failures))

    def only(self, places: Iterable[int]) -> None:
        """Have one come at once in each of these places, and in no other."""
        self._due = [(monotonic(), index, 1) for index in places]

    def keep(self, wanted: Container[int]) -> None:
        """Forget the places that are not wanted any more."""
        self._due = [entry for entry in self._due if entry[1] in wanted]

    def clear(self) -> None:
        """Forget all."""
        self._due.clear()

    def take_ready(self) -> list[tuple[int, int]]:
        """Take out the places where one is to begin now, each with its failures in a row."""
        now = monotonic()
        ready = [(index, failures) for when, index, failures in self._due if when <= now]
        self._due = [entry for entry in self._due if entry[0] > now]
        return ready
