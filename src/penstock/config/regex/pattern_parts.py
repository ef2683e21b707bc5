"""The parts of a pattern, and what each makes of the time a match can take.

A part is asked for two things: what can come next where it begins, and what it costs where something given comes after
it. A repeat may end at several places only if what it would take is also what may come next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from penstock.config.regex.backtracking import ENDLESS, Risk
from penstock.config.regex.backtracking_cost import (
    DONE,
    END,
    FREE,
    LEFT,
    MOST_PATHS,
    Ahead,
    Cost,
    Costs,
    in_turn,
    worst,
)

_MANY = 16
"""A repeat that may vary by so many counts as one without end."""
_MOST_CHOICES = 12.0
"""Powers of two: more ways than that count as endless."""

_EVERY = (1 << 256) - 1
_NEWLINE = 1 << ord("\n")
_COMPARED = 40
"""So many branches are compared with each other, and so many of their characters."""
_WIDEST = 256


class Node:
    """A part of a pattern."""

    def ahead(self, after: Ahead) -> Ahead:
        """Return what can come next where this part begins, given what can come after it."""
        raise NotImplementedError

    def costs(self, after: Ahead) -> Costs:
        """Return what it costs where that comes after it, for each way through it."""
        raise NotImplementedError

    def width(self) -> list[int] | None:
        """Return the characters at each place, if it always takes so many."""
        return None

    def anchored(self) -> bool:
        """Return whether it can match in one place of a text only."""
        return False


class Nothing(Node):
    """What takes no character: a border of a word, a look behind. It may fail wherever what comes before it ends."""

    def ahead(self, after: Ahead) -> Ahead:
        return Ahead(_EVERY, after.open)

    def costs(self, after: Ahead) -> Costs:
        return FREE

    def width(self) -> list[int] | None:
        return []


class Beginning(Nothing):
    def anchored(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class PatternEnding(Node):
    """`$` and `\\Z`: `chars` may follow. `sure`: what takes any character but newlines always comes to the end."""

    chars: int
    sure: bool

    def ahead(self, after: Ahead) -> Ahead:
        return Ahead(self.chars, False, end=self.sure and after.last)

    def costs(self, after: Ahead) -> Costs:
        return FREE

    def width(self) -> list[int] | None:
        return None

    def anchored(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Chars(Node):
    """One character of several."""

    chars: int

    def ahead(self, after: Ahead) -> Ahead:
        return Ahead(self.chars, False)

    def costs(self, after: Ahead) -> Costs:
        return FREE

    def width(self) -> list[int] | None:
        return [self.chars]

    def anchored(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Again(Node):
    """A reference to what a group took, of any length."""

    every: int

    def ahead(self, after: Ahead) -> Ahead:
        return Ahead(self.every, after.open)

    def costs(self, after: Ahead) -> Costs:
        return [Cost(work=1, taken=self.every, run=self.every, fixed=True)]

    def width(self) -> list[int] | None:
        return None

    def anchored(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Look(Node):
    """A look ahead: it takes nothing, and is never come back into."""

    body: Node

    def ahead(self, after: Ahead) -> Ahead:
        return Ahead(_EVERY, after.open)

    def costs(self, after: Ahead) -> Costs:
        return [worst(self.body.costs(LEFT)).closed()]

    def width(self) -> list[int] | None:
        return None

    def anchored(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Atom(Node):
    """An atomic group."""

    body: Node

    def ahead(self, after: Ahead) -> Ahead:
        return self.body.ahead(after)

    def costs(self, after: Ahead) -> Costs:
        return [worst(self.body.costs(LEFT)).closed()]

    def width(self) -> list[int] | None:
        return self.body.width()

    def anchored(self) -> bool:
        return self.body.anchored()


@dataclass(frozen=True, slots=True)
class PatternRow(Node):
    """One part after another."""

    parts: tuple[Node, ...]

    def ahead(self, after: Ahead) -> Ahead:
        for part in reversed(self.parts):
            after = part.ahead(after)
        return after

    def costs(self, after: Ahead) -> Costs:
        total = FREE
        for part in reversed(self.parts):
            total = in_turn(part.costs(after), total)
            after = part.ahead(after)
        return total

    def width(self) -> list[int] | None:
        found: list[int] = []
        for part in self.parts:
            places = part.width()
            if places is None:
                return None
            found += places
        return found

    def anchored(self) -> bool:
        for part in self.parts:
            if part.anchored():
                return True
            if type(part) is not Nothing:
                return False
        return False

    def risk(self) -> Risk:
        """Return the risk of the whole pattern."""
        anchored = self.anchored()
        first = self.ahead(DONE)
        return Risk(max(1, *(_degree(each, first, anchored) for each in self.costs(DONE))), anchored)


def _degree(cost: Cost, first: Ahead, anchored: bool) -> int:
    if cost.endless or cost.choices > _MOST_CHOICES:
        return ENDLESS
    degree = max(cost.work, cost.ways)
    if anchored or cost.run is None:
        return degree
    # Where a match can begin inside of what another beginning runs through first, each beginning counts; and where
    # that is short and the work comes behind it.
    counts = first.open or bool(first.chars & cost.run) or (cost.fixed and cost.more)
    return degree + 1 if counts else max(degree, 1)


@dataclass(frozen=True, slots=True)
class Branches(Node):
    """One of several parts, tried in their order."""

    parts: tuple[Node, ...]

    def ahead(self, after: Ahead) -> Ahead:
        found = [part.ahead(after) for part in self.parts]
        chars = 0
        for each in found:
            chars |= each.chars
        return Ahead(chars, any(each.open for each in found))

    def costs(self, after: Ahead) -> Costs:
        found = [cost for part in self.parts for cost in part.costs(after)]
        alike = self._alike(after)
        if len(found) > MOST_PATHS:
            found = [worst(found)]
        return [replace(each, choices=each.choices + alike) for each in found]

    def _alike(self, after: Ahead) -> float:
        """How many branches more than one could match at one place, as a power of two."""
        starts = [_start(part, after) for part in self.parts]
        if len(starts) > _COMPARED:
            most = _most_alike([each[0] if each else _EVERY for each in starts])
        else:
            most = max(sum(_may_be_same(each, other) for other in starts) for each in starts)
        return (most - 1).bit_length() * 1.0

    def width(self) -> list[int] | None:
        widths = [part.width() for part in self.parts]
        first = widths[0]
        if first is None:
            return None
        merged = list(first)
        for places in widths[1:]:
            if places is None or len(places) != len(merged):
                return None
            merged = [one | other for one, other in zip(merged, places, strict=True)]
        return merged

    def anchored(self) -> bool:
        return all(part.anchored() for part in self.parts)


def _start(part: Node, after: Ahead) -> list[int]:
    """Return the characters at the first places of a part, as far as they are sure."""
    places: list[int] = []
    parts: tuple[Node, ...] = part.parts if isinstance(part, PatternRow) else (part,)
    for at, each in enumerate(parts):
        known = each.width()
        if known is None or len(places) > _COMPARED:
            ahead = PatternRow(parts[at:]).ahead(after)
            return places if ahead.open else [*places, ahead.chars]
        places += known
    return places if after.open else [*places, after.chars]


def _most_alike(sets: list[int]) -> int:
    """Count how many of the sets have one character in common, at most."""
    counts: dict[int, int] = {}
    everywhere = 0
    for chars in sets:
        if chars.bit_count() > _COMPARED:
            everywhere += 1
            continue
        while chars:
            lowest = chars & -chars
            counts[lowest] = counts.get(lowest, 0) + 1
            chars ^= lowest
    return everywhere + max(counts.values(), default=0)


def _may_be_same(one: list[int], other: list[int]) -> bool:
    return all(here & there for here, there in zip(one, other, strict=False))


@dataclass(frozen=True, slots=True)
class Repeat(Node):
    """A part, so many times; `greedy` or not is the same here. `kept`: it gives nothing back (`*+`)."""

    body: Node
    least: int
    most: int | None
    kept: bool

    def ahead(self, after: Ahead) -> Ahead:
        inner = self.body.ahead(after)
        if self.least:
            return inner
        return Ahead(inner.chars | after.chars, inner.open or after.open)

    def costs(self, after: Ahead) -> Costs:
        if self.kept:
            return [self._cost(LEFT).closed()]
        return [self._cost(after)]

    def _cost(self, after: Ahead) -> Cost:
        again = self.body.ahead(END)
        varies = self.most is None or self.most - self.least >= _MANY
        many = varies or self.least >= _MANY
        width = self.body.width()
        # It may end early where what comes after it could take what it would take.
        early = bool(again.chars & after.chars) or again.open
        if width is not None and len(width) <= 1:
            taken = width[0] if width else 0
            if after.last or (after.end and varies and self.most is None and taken | _NEWLINE == _EVERY):
                return Cost()  # once only, and then the pattern has matched
            if not width:
                return Cost()
            if varies:
                return Cost(int(early), 1, taken=taken, run=taken, fixed=not early)
            ways = float(((self.most or 0) - self.least).bit_length()) if early else 0.0
            return Cost(work=int(many), choices=ways, taken=taken, run=taken if many else None, fixed=True)
        inner = worst(self.body.costs(Ahead(again.chars, False)))
        outer = worst(self.body.costs(after))
        taken = _everything(inner, self.body)
        if many:
            if not inner.sure or again.open:
                return Cost(endless=True, taken=taken, run=taken)
            ways = outer.ways + int(early and varies)
            work = max(1, inner.work, outer.work)
            return Cost(ways, work, outer.choices, outer.endless, taken, taken, fixed=not ways, more=work > 1)
        times = self.most or 0
        both = inner.either(outer)
        choices = both.choices * times + (float((times - self.least).bit_length()) if early else 0.0)
        return replace(both, ways=both.ways * times, work=max(both.work, both.ways * times), choices=choices)

    def width(self) -> list[int] | None:
        if self.least != self.most or self.least > 64:
            return None
        places = self.body.width()
        return None if places is None or len(places) * self.least > _WIDEST else places * self.least

    def anchored(self) -> bool:
        return self.least > 0 and self.body.anchored()


def _everything(cost: Cost, body: Node) -> int:
    """Return all characters that a body can take, roughly: those of its repeats, and those it can begin with."""
    places = body.width()
    chars = cost.taken | body.ahead(END).chars
    for each in places if places is not None else ():
        chars |= each
    return chars if places is not None else _EVERY
