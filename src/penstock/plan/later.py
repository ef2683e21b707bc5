"""What becomes of a request, where that is not known yet: somebody else has to be asked first, or a while to pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """An outcome that will come. Whoever is given one sets `told` at once, which is called with the outcome, once and
    never before; or waits no more (`drop`).

    How long that may take is the affair of who makes one: it comes in any case."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told: Callable[[T], None] | None = None

    def say(self, outcome: T) -> None:
        """Say it to who waits, if somebody still does."""
        told, self.told = self.told, None
        if told is not None:
            told(outcome)

    def drop(self) -> None:
        """Tell nobody: who has waited is gone."""
        self.told = None
