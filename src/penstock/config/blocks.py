"""The tree of one source, also when its braces do not add up: then the indentation is asked."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.config.builder import Builder, Frame, Include, Known
from penstock.config.errors import ConfigError, Problems
from penstock.config.source import Source, Span
from penstock.config.tree import Directive, Word


def read_blocks(source: Source, problems: Problems, known: Known, include: Include) -> tuple[Directive, ...]:
    """The directives of a source, with what its `include`s stand for in their place."""
    included: dict[int, Sequence[Directive]] = {}

    def include_once(directive: Directive, depth: int) -> Sequence[Directive]:
        if directive.span.start not in included:
            included[directive.span.start] = include(directive, depth)
        return included[directive.span.start]

    builder = Builder(source, problems, known, include_once)
    builder.read()
    if not builder.unclosed or problems.full:
        return builder.close_all()
    # A "}" is missing. Where, the indentation usually knows: read again and believe it, if that adds up.
    guess = _IndentBuilder(source, Problems(), known, include_once)
    guess.read()
    if not guess.unclosed and not guess.stray and len(guess.culprits) == len(builder.unclosed):
        for frame in guess.culprits:
            problems.add(_never_closed(source, [frame]))
        return guess.close_all()
    problems.add(_never_closed(source, builder.unclosed))
    return builder.close_all()


def line_break(directive: Directive) -> Span | None:
    """Where the first line of a directive ends, if it goes on in the next one.

    That is the place for a forgotten `;` when the directive turns out to have arguments nobody understands.
    """
    previous = directive.name
    for word in directive.args:
        if "\n" in word.span.source.text[previous.span.end : word.span.start]:
            return Span(previous.span.source, previous.span.end, previous.span.end)
        previous = word
    return None


class _IndentBuilder(Builder):
    """Builds the tree the indentation says, where that closes a block the braces leave open."""

    def __init__(self, source: Source, problems: Problems, known: Known, include: Include) -> None:
        super().__init__(source, problems, known, include)
        self.culprits: list[Frame] = []

    def before_statement(self, name: Word, indent: int) -> None:
        if not self.first_on_line(name.span.start):
            return
        indent = self.indent(name.span.start)
        while self.stack and indent <= self.stack[-1].indent and self._on_earlier_line(name.span.start):
            self._close_culprit()

    def before_close(self, at: int) -> None:
        if not self.first_on_line(at):
            return
        indent = self.indent(at)
        if any(frame.indent == indent for frame in self.stack):
            while self.stack[-1].indent > indent:
                self._close_culprit()

    def _on_earlier_line(self, offset: int) -> bool:
        return self.source.text.find("\n", self.stack[-1].span.end, offset) >= 0

    def _close_culprit(self) -> None:
        self.culprits.append(self.stack[-1])
        self.pop()


def _never_closed(source: Source, frames: list[Frame]) -> ConfigError:
    line = source.position(len(source.text))[0]
    names = ", ".join(f'"{frame.name}"' for frame in frames[:10])
    blocks = "block" if len(frames) == 1 else "blocks"
    return ConfigError(
        'unexpected end of file, expecting "}"',
        frames[-1].span,
        label="this block is not closed",
        hint=f"the file ended in line {line} with the {blocks} {names} still open",
    )
