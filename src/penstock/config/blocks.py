"""The tree of one source, also when its braces do not add up: then the indentation is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from penstock.config.builder import Include, Known, OpenBlock, TreeBuilder
from penstock.config.errors import ConfigError, Problems
from penstock.config.lexer import Statement
from penstock.config.source import Source, Span
from penstock.config.tree import Directive, Word


def read_blocks(source: Source, problems: Problems, known: Known, include: Include) -> tuple[Directive, ...]:
    """Read the directives of a source, with what its `include`s stand for in their place."""
    included: dict[int, tuple[Sequence[Directive], Problems]] = {}

    def include_once(directive: Directive, depth: int, problems: Problems) -> Sequence[Directive]:
        place = directive.span.start
        if place not in included:
            found = Problems()
            included[place] = include(directive, depth, found), found
        problems.extend(included[place][1])
        return included[place][0]

    reading = TreeBuilder(source, known, include_once)
    reading.read()
    if (reading.unclosed or reading.strays) and not reading.problems.full:
        # The braces do not add up. Read again with a guess at what is missing; keep the guess that adds up.
        guesses = _guesses(reading, include_once)
        reading = next((guess for guess in guesses if guess.adds_up()), reading)
    if reading.unclosed:
        reading.problems.add(_never_closed(source, reading.unclosed))
    problems.extend(reading.problems)
    return reading.close_all()


def _guesses(first: TreeBuilder, include: Include) -> Iterator[_Guess]:
    if first.unclosed:
        yield _ClosesByIndentation(first.source, first.known, include, len(first.unclosed))
    else:
        yield _OpensByIndentation(first.source, first.known, include, first.strays, first.known)
        yield _OpensByIndentation(first.source, first.known, include, first.strays, _anything)


def line_break(directive: Directive) -> Span | None:
    """Find where the first line of a directive ends, if it goes on in the next one.

    That is the place for a forgotten `;` when the directive turns out to have arguments nobody understands.
    """
    previous = directive.name
    for word in directive.args:
        if "\n" in word.span.source.text[previous.span.end : word.span.start]:
            return Span(previous.span.source, previous.span.end, previous.span.end)
        previous = word
    return None


class _Guess(TreeBuilder):
    """A second reading that supplies missing braces; `imbalance` is how many are missing."""

    def __init__(self, source: Source, known: Known, include: Include, imbalance: int) -> None:
        super().__init__(source, known, include)
        self.imbalance = imbalance
        self.supplied = 0

    def adds_up(self) -> bool:
        """Read again, and tell whether exactly the braces that were missing have been supplied."""
        self.read()
        return not self.unclosed and not self.strays and self.supplied == self.imbalance

    def supply(self, mistake: ConfigError) -> None:
        self.supplied += 1
        self.problems.add(mistake)


class _ClosesByIndentation(_Guess):
    """Closes the blocks that lack their `}` where a line is indented no deeper than they are."""

    def before_statement(self, name: Word) -> None:
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
        self.supply(_never_closed(self.source, self.stack[-1:]))
        self.pop()


class _OpensByIndentation(_Guess):
    """Opens a block where a statement goes on in the next line, deeper, with what may be a directive."""

    def __init__(
        self, source: Source, known: Known, include: Include, imbalance: int, opens: Callable[[str], bool]
    ) -> None:
        super().__init__(source, known, include, imbalance)
        self.opens = opens

    def statements(self) -> Iterator[Statement]:
        for statement in super().statements():
            words, end, at = statement
            while split := self._first_of_block(words):
                yield self._opening(words[:split])
                words = words[split:]
            if words and end == "}" and self._is_empty_block(words, at):
                yield self._opening(words)
                words = []
            yield Statement(words, end, at)

    def _first_of_block(self, words: list[Word]) -> int:
        """Return the index of the word that seems to begin the first directive of a block; 0 if none does."""
        if len(words) < 2 or not self.first_on_line(words[0].span.start):
            return 0
        indent = self.indent(words[0].span.start)
        for index in range(1, len(words)):
            start = words[index].span.start
            if self.first_on_line(start) and self.opens(words[index].text):
                return index if self.indent(start) > indent else 0
        return 0

    def _is_empty_block(self, words: list[Word], at: int) -> bool:
        start = words[0].span.start
        both_first = self.first_on_line(start) and self.first_on_line(at)
        return both_first and self.indent(start) == self.indent(at)

    def _opening(self, words: list[Word]) -> Statement:
        self.supply(_never_opened(words))
        return Statement(words, "{", words[-1].span.end)


def _anything(name: str) -> bool:
    return True


def _never_opened(words: list[Word]) -> ConfigError:
    end = words[-1].span.end
    return ConfigError(
        f'directive "{words[0].text}" has no opening "{{"',
        Span(words[0].span.source, end, end),
        label='"{" expected here',
        hint='did you forget the "{"?',
    )


def _never_closed(source: Source, frames: list[OpenBlock]) -> ConfigError:
    line = source.position(len(source.text))[0]
    names = ", ".join(f'"{frame.name}"' for frame in frames[:10])
    blocks = "block" if len(frames) == 1 else "blocks"
    return ConfigError(
        'unexpected end of file, expecting "}"',
        frames[-1].span,
        label="this block is not closed",
        hint=f"the file ended in line {line} with the {blocks} {names} still open",
    )
