"""What is wrong with a configuration: one mistake, all of them together, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from penstock.config.source import COMMAND_LINE, Span, shown

Level = Literal["emerg", "warn"]

_MOST = 100
_WIDEST = 160


class ConfigError(Exception):
    """A mistake in a configuration. `hint` says what to do about it, `label` is a few words to stand after the carets.
    `secret` is what should not have been written there, and is not shown: reports end up in journals."""

    def __init__(
        self,
        message: str,
        span: Span | None = None,
        *,
        hint: str | None = None,
        label: str | None = None,
        level: Level = "emerg",
        secret: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint
        self.label = label
        self.level: Level = level
        self.secret = secret

    def __str__(self) -> str:
        if self.span is None:
            return shown(self.message)
        if self.span.file == COMMAND_LINE:
            return f"{shown(self.message)} in {COMMAND_LINE}"
        return f"{shown(self.message)} in {shown(self.span.file)}:{self.span.line}"


def duplicate(name: str, span: Span, first: Span) -> ConfigError:
    """Make the error for a directive that stands a second time at its level."""
    return ConfigError(f'"{name}" directive is duplicate', span, hint=f"the first is in {first.file}:{first.line}")


class Problems:
    """The mistakes of a configuration in the order they are found, the first hundred of each level.

    `dropped` counts those beyond: whoever has made so many fixes the first ones first.
    """

    __slots__ = ("_counts", "_found", "_said", "dropped")

    def __init__(self) -> None:
        self._found: list[ConfigError] = []
        self._said: set[tuple[Level, str, Span]] = set()
        self._counts: dict[Level, int] = {"emerg": 0, "warn": 0}
        self.dropped = 0

    def error(
        self, message: str, span: Span | None = None, *, hint: str | None = None, label: str | None = None
    ) -> None:
        """Add a mistake for which the configuration is not accepted."""
        self.add(ConfigError(message, span, hint=hint, label=label))

    def warn(
        self, message: str, span: Span | None = None, *, hint: str | None = None, label: str | None = None
    ) -> None:
        """Add a warning: the configuration is accepted all the same."""
        self.add(ConfigError(message, span, hint=hint, label=label, level="warn"))

    def add(self, problem: ConfigError) -> None:
        """Add a mistake or a warning; those beyond the first hundred of a level are only counted.

        What is wrong with one place counts once, though several levels inherit it.
        """
        if problem.span is not None:
            said = (problem.level, problem.message, problem.span)
            if said in self._said:
                return
            self._said.add(said)
        self._counts[problem.level] += 1
        if self._counts[problem.level] > _MOST:
            self.dropped += 1
            return
        self._found.append(problem)

    def extend(self, others: Problems) -> None:
        """Take over what another collection holds."""
        for problem in others:
            self.add(problem)
        self.dropped += others.dropped

    @property
    def failed(self) -> bool:
        """Return whether any of them forbids starting."""
        return self._counts["emerg"] > 0

    @property
    def full(self) -> bool:
        """Return whether looking for more errors is a waste of time."""
        return self._counts["emerg"] >= _MOST

    def __iter__(self) -> Iterator[ConfigError]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class ConfigFailed(Exception):
    """Raised for a configuration that cannot be used; `problems` says why."""

    def __init__(self, problems: Problems) -> None:
        first = next((problem for problem in problems if problem.level == "emerg"), None)
        super().__init__(str(first) if first else "configuration failed")
        self.problems = problems


def render(problem: ConfigError, program: str = "penstock") -> str:
    """Write the report of one mistake: a line in nginx's form, the source line with carets, the hint."""
    lines = [f"{program}: [{problem.level}] {problem}"]
    if problem.span is not None:
        lines += excerpt(problem.span, problem.label, problem.secret)
    if problem.hint:
        first, *rest = problem.hint.split("\n")
        lines.append(f"     = {shown(first)}")
        lines += [f"       {shown(line)}" for line in rest]
    return "\n".join(lines)


def excerpt(span: Span, label: str | None = None, secret: str = "") -> list[str]:
    """Return the source line of a span (stars in place of a secret), and carets below it with a few words behind."""
    number, column = span.source.position(span.start)
    line = span.source.line(number)
    if secret:
        line = line.replace(secret, "*" * len(secret))
    start = min(column - 1, len(line))
    end = max(start, min(start + span.end - span.start, len(line)))
    before, marked, after = _fit(_visible(line[:start]), _visible(line[start:end]), _visible(line[end:]))
    carets = "^" * max(1, _width(marked))
    tail = f" {shown(label)}" if label else ""
    return [
        f"{number:>4} | {before}{marked}{after}".rstrip(),
        f"     | {' ' * _width(before)}{carets}{tail}",
    ]


def _fit(before: str, marked: str, after: str) -> tuple[str, str, str]:
    # Minified or generated lines run to thousands of characters; a person needs the neighbourhood only.
    if len(before) + len(marked) + len(after) <= _WIDEST:
        return before, marked, after
    if len(before) > _WIDEST // 3:
        before = "..." + before[-(_WIDEST // 3) :]
    if len(marked) > _WIDEST // 3:
        marked = marked[: _WIDEST // 3] + "..."
    if len(after) > _WIDEST // 3:
        after = after[: _WIDEST // 3] + "..."
    return before, marked, after


def _visible(text: str) -> str:
    return "    ".join(shown(part) for part in text.split("\t"))


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def suggest(word: str, candidates: Iterable[str]) -> str | None:
    """Find the candidate that a person most likely meant; None if nothing is near.

    Near is one slip in three characters: a letter too many, too few, wrong, or two swapped.
    """
    word = word.lower()
    if not word or len(word) > 64:
        return None
    best, nearest = None, max(1, len(word) // 3) + 1
    for candidate in candidates:
        if abs(len(candidate) - len(word)) >= nearest:
            continue
        distance = _distance(word, candidate.lower(), nearest)
        if distance < nearest:
            best, nearest = candidate, distance
    return best


def _distance(one: str, two: str, limit: int) -> int:
    """Return the optimal string alignment distance; give up with `limit` once it cannot be less."""
    older: list[int] = []
    old = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(two, 1):
            cost = min(old[j] + 1, row[j - 1] + 1, old[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) >= limit:
            return limit
        older, old = old, row
    return old[-1]
