"""What comes next in a pattern, and what a way through a part of it costs: figures to add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Ahead:
    """What can come next: the characters (a bit each), and whether nothing has to. `last`: whatever has come this far
    has matched. `end`: whatever has come to the end of the text has."""

    chars: int
    open: bool
    last: bool = False
    end: bool = False


END = Ahead(0, False)
"""Only the end of the text."""
LEFT = Ahead(0, True)
"""The end of a part that nobody comes back into."""
DONE = Ahead(0, True, True)
"""The end of the pattern: nothing can fail any more."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One way through a part. `ways`: the power in which its repeats can share the text out; `work`: the power of its
    cost by itself. `choices`: ways that do not grow with the text, as a power of two. `taken`: the characters of its
    repeats; `run`: those of the first of them, None where there is none, and `fixed` if that ends at one place only;
    `more`: there are others behind it."""

    ways: int = 0
    work: int = 0
    choices: float = 0.0
    endless: bool = False
    taken: int = 0
    run: int | None = None
    fixed: bool = False
    more: bool = False

    def then(self, other: Cost) -> Cost:
        """Return the cost of this part, and of the other for each way through this one."""
        return Cost(
            self.ways + other.ways,
            max(self.work, self.ways + other.work),
            self.choices + other.choices,
            self.endless or other.endless,
            self.taken | other.taken,
            other.run if self.run is None else self.run,
            other.fixed if self.run is None else self.fixed,
            self.more or other.more or (self.run is not None and other.run is not None),
        )

    def either(self, other: Cost) -> Cost:
        """Return the worse of the two in everything."""
        runs = [each for each in (self.run, other.run) if each is not None]
        return Cost(
            max(self.ways, other.ways),
            max(self.work, other.work),
            max(self.choices, other.choices),
            self.endless or other.endless,
            self.taken | other.taken,
            runs[0] | runs[-1] if runs else None,
            self.fixed or other.fixed,
            self.more or other.more,
        )

    @property
    def sure(self) -> bool:
        """Return whether there is one way only."""
        return not self.ways and not self.choices and not self.endless

    def closed(self) -> Cost:
        """Return the cost of a part that nobody comes back into once it has matched."""
        return replace(self, ways=0, choices=0.0, work=max(self.work, self.ways))


Costs: TypeAlias = list[Cost]
FREE: Costs = [Cost()]
"""What takes one step, or none."""
MOST_PATHS = 32


def worst(costs: Costs) -> Cost:
    """Return the worst of all as one cost."""
    total = costs[0]
    for each in costs[1:]:
        total = total.either(each)
    return total


def in_turn(first: Costs, second: Costs) -> Costs:
    """Combine each way through the first with each through the second."""
    if first is FREE:
        return second
    if len(first) * len(second) > MOST_PATHS:
        first, second = [worst(first)], [worst(second)]
    return [one.then(other) for one in first for other in second]
