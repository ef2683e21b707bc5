"""What a rule says: where, how bad, what it means, and what would put it right."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from penstock.config.source import Source, Span


class Severity(enum.IntEnum):
    """NOTE: worth knowing, may be meant so. WARNING: it will hurt somebody. ERROR: it can not work."""

    NOTE = 0
    WARNING = 1
    ERROR = 2

    @property
    def word(self) -> str:
        return self.name.lower()


NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR


@dataclass(frozen=True, slots=True)
class Edit:
    """`text` in place of what stands from `start` to `end` of a source."""

    source: Source
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that belong together, and what they do in a few words."""

    title: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that has to do with a finding."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `label` stands after the carets, `advice` says what to do."""

    rule: str
    severity: Severity
    message: str
    span: Span | None
    label: str = ""
    advice: str = ""
    related: tuple[Related, ...] = ()
    fix: Fix | None = None

    @property
    def place(self) -> tuple[str, int, int]:
        """Return file, line and column, all empty where it concerns no place."""
        return ("", 0, 0) if self.span is None else (self.span.file, self.span.line, self.span.column)

    @property
    def lines(self) -> set[tuple[str, int]]:
        """Return every line that the finding speaks of."""
        spans = [each.span for each in self.related]
        if self.span is not None:
            spans.append(self.span)
        return {(span.file, span.line) for span in spans}
