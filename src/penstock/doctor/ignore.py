"""Comments that say a finding is known: `# penstock: ignore RULE-ID reason`.

On a line of its own it is about the directive below, with all that is in its block; behind a directive, about that one.
`# penstock: ignore-file RULE-ID reason` is about the whole file. Several ids are separated by commas.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from penstock.config.source import Source, Span
from penstock.config.tree import Directive
from penstock.doctor.finding import NOTE, Finding

_COMMENT = re.compile(r"#[ \t]*penstock:[ \t]*ignore(-file)?[ \t]+([\w.-]+(?:[ \t]*,[ \t]*[\w.-]+)*)", re.ASCII)


class Ignored:
    """What the comments of a configuration say."""

    __slots__ = ("_files", "_lines", "unknown")

    def __init__(self, tree: Iterable[Directive], sources: Iterable[Source], rules: Collection[str]) -> None:
        self._files: set[tuple[str, str]] = set()
        self._lines: set[tuple[str, int, str]] = set()
        self.unknown: list[Finding] = []
        comments = [(source, match) for source in sources for match in _COMMENT.finditer(source.text)]
        if not comments:
            return
        extents = _extents(tree)
        for source, match in comments:
            self._add(source, match, extents.get(source.path, {}), rules)

    def covers(self, finding: Finding) -> bool:
        """Return whether somebody has said that a finding is known."""
        file, line, _ = finding.place
        return (file, finding.rule) in self._files or (file, line, finding.rule) in self._lines

    def _add(self, source: Source, match: re.Match[str], extents: dict[int, int], rules: Collection[str]) -> None:
        line, column = source.position(match.start())
        alone = not source.line(line)[: column - 1].strip()
        first = min((each for each in extents if each > line), default=line) if alone else line
        last = extents.get(first, first)
        for rule in re.split(r"[ \t]*,[ \t]*", match[2]):
            if rule not in rules:
                self.unknown.append(_unknown(source, match, rule, rules))
            elif match[1]:
                self._files.add((source.path, rule))
            else:
                self._lines.update((source.path, each, rule) for each in range(first, last + 1))


def _extents(tree: Iterable[Directive]) -> dict[str, dict[int, int]]:
    """By file: the lines on which directives begin, and where what is in them ends."""
    found: dict[str, dict[int, int]] = {}

    def visit(directive: Directive) -> int:
        span = directive.span
        last = span.source.position(max(span.start, span.end - 1))[0]
        for each in directive.block or ():
            inner = visit(each)
            if each.span.source is span.source:
                last = max(last, inner)
        lines = found.setdefault(span.file, {})
        lines[span.line] = max(lines.get(span.line, 0), last)
        return last

    for each in tree:
        visit(each)
    return found


def _unknown(source: Source, match: re.Match[str], rule: str, rules: Collection[str]) -> Finding:
    from penstock.config.errors import suggest

    close = suggest(rule, rules)
    start = match.start(2) + match[2].find(rule)
    return Finding(
        "ignore-unknown",
        NOTE,
        f'there is no rule "{rule}" to ignore',
        Span(source, start, start + len(rule)),
        advice=f"did you mean: {close}" if close else "penstock check --rules lists them",
    )
