"""Statements -> the tree of one source, going on after each mistake as if it had not been made.

A person who forgot one `;` wants to hear about one `;`. So each repair here answers two questions: where is
the mistake (rarely where nginx notices it), and what tree was meant (so that nothing after it is blamed).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from penstock.config.errors import Problems
from penstock.config.lexer import Statement, statements
from penstock.config.source import COMMAND_LINE, Source, Span
from penstock.config.tree import Directive, Word

DEEPEST = 100

Known = Callable[[str], bool]
Include = Callable[[Directive, int, Problems], Sequence[Directive]]
"""Gives the directives that stand in place of an `include`, which was found so many blocks deep."""

_QUANTIFIER = re.compile(r"\{[0-9]+(?:,[0-9]*)?\}")


class OpenBlock:
    """A block that is still open."""

    __slots__ = ("indent", "items", "name", "span", "words")

    def __init__(self, words: list[Word], indent: int) -> None:
        self.words = words
        self.indent = indent
        self.items: list[Directive] = []
        self.span = _span(words)
        self.name = words[0].text


class TreeBuilder:
    """The builder of the tree that the braces say."""

    def __init__(self, source: Source, known: Known, include: Include) -> None:
        self.source = source
        self.problems = Problems()
        self.known = known
        self.include = include
        self.items: list[Directive] = []
        self.stack: list[OpenBlock] = []
        self.skipped = 0
        self.strays = 0
        self.closed_at: dict[int, int] = {}  # by where a block starts
        self._glued: list[Word] = []

    @property
    def unclosed(self) -> list[OpenBlock]:
        """Return the blocks that are open, the outermost first; those that no `}` closed, once all is read."""
        return self.stack

    def read(self) -> None:
        """Build the tree from all statements of the source; what is wrong with them goes to `problems`."""
        for words, end, at in self.statements():
            if self.problems.full:
                return
            if end == "{":
                self._open(words, at)
            elif end == ";":
                self._finish(words, at)
            elif end == "}":
                self._close(words, at)
            elif words:
                self._unfinished(words)

    def statements(self) -> Iterator[Statement]:
        for statement in statements(self.source, self.problems):
            yield self._unsplit(statement) if self._glued else statement

    def close_all(self) -> tuple[Directive, ...]:
        while self.stack:
            self.pop()
        return tuple(self.items)

    # Endings: one method for each thing that ends a statement.

    def _finish(self, words: list[Word], at: int) -> None:
        if not words:
            self.problems.error(
                'unexpected ";"',
                Span(self.source, at, at + 1),
                hint='remove it: a "}" takes no ";" after it, and a directive takes one',
            )
            return
        *before, words = self._split(words, ";")
        for piece in before:
            self._terminate(piece)
        self.place(words)

    def _open(self, words: list[Word], at: int) -> None:
        if not words:
            self.problems.error(
                'unexpected "{"',
                Span(self.source, at, at + 1),
                label="a block without a name",
                hint='a ";" in front of it may be one too many',
            )
            self.skipped += 1
            return
        if self._is_quantifier(words, at):
            return
        *before, words = self._split(words, "{")
        for piece in before:
            self._terminate(piece)
        if self.skipped or len(self.stack) >= DEEPEST:
            if not self.skipped:
                self.problems.error(f"blocks are nested more than {DEEPEST} deep", _span(words))
            self.skipped += 1
            return
        indent = self.indent(words[0].span.start)
        self.before_statement(words[0])
        self.stack.append(OpenBlock(words, indent))

    def _close(self, words: list[Word], at: int) -> None:
        for piece in self._split(words, ";"):
            self._terminate(piece)
        self._close_block(at)

    def _close_block(self, at: int) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        self.before_close(at)
        if not self.stack:
            self._stray(at)
            return
        self.closed_at[self.pop().span.start] = at

    def _unfinished(self, words: list[Word]) -> None:
        *before, words = self._split(words, ";")
        for piece in before:
            self._terminate(piece)
        if _hides_brace(words[-1]):
            self._terminate(words)
            return
        self.place(words)
        if self.source.path == COMMAND_LINE:
            message = 'unexpected end of parameter, expecting ";"'
        else:
            message = 'unexpected end of file, expecting ";" or "}"'
        self.problems.error(message, _after(words[-1]), label='";" expected here')

    def _terminate(self, words: list[Word]) -> None:
        """End a statement that lacks its `;`, and the block when the `}` hides in the last word."""
        last = words[-1]
        if not _hides_brace(last):
            self._missing_end(words)
            self.place(words)
            return
        place = last.span.end - 1
        self.problems.error(
            f'directive "{words[0].text}" is not terminated by ";"',
            Span(self.source, place, place + 1),
            label="belongs to the word before it",
            hint='put a ";" in front of the "}"',
        )
        if last.text != "}":
            words = [*words[:-1], Word(last.text[:-1], Span(self.source, last.span.start, place), False)]
        self.place(words)
        self._close_block(place)

    # Places: where a directive goes once it is whole.

    def place(self, words: list[Word]) -> None:
        """Put a directive without a block where it belongs, or what it includes."""
        if self.skipped:
            return
        name = words[0]
        self.before_statement(name)
        items = self.stack[-1].items if self.stack else self.items
        directive = Directive(name, tuple(words[1:]), None, _span(words))
        if name.text != "include":
            items.append(directive)
        elif len(words) == 2:
            items.extend(self.include(directive, len(self.stack), self.problems))
        else:
            self.problems.error('invalid number of arguments in "include" directive', directive.span)

    def pop(self) -> Directive:
        """Close the innermost block, and return it as a directive in its place."""
        frame = self.stack.pop()
        directive = Directive(frame.words[0], tuple(frame.words[1:]), tuple(frame.items), frame.span)
        (self.stack[-1].items if self.stack else self.items).append(directive)
        return directive

    def indent(self, offset: int) -> int:
        """Return the width of the blanks that begin the line of `offset`."""
        text = self.source.text
        start = text.rfind("\n", 0, offset) + 1
        line = text[start:offset].expandtabs(8)
        return len(line) - len(line.lstrip())

    def first_on_line(self, offset: int) -> bool:
        """Return whether only blanks stand before `offset` on its line."""
        text = self.source.text
        while offset and text[offset - 1] in " \t":
            offset -= 1
        return offset == 0 or text[offset - 1] == "\n"

    def before_statement(self, name: Word) -> None:
        """Do nothing before a statement takes its place: here the braces alone decide."""

    def before_close(self, at: int) -> None:
        """Do nothing before a `}` closes the innermost block."""

    # Diagnoses

    def _split(self, words: list[Word], end: str) -> list[list[Word]]:
        """Cut a statement that swallowed the next one because its `;` is missing.

        Arguments may well go on in the next line, so the cut needs evidence: the line starts exactly where
        the statement starts, with the name of a directive, and with more after it. A `}` that ends the line
        before is evidence too.
        """
        if len(words) < 2 or self.source.text.find("\n", words[0].span.end, words[-1].span.start) < 0:
            return [words] if words else []
        pieces: list[list[Word]] = []
        begin = 0
        for index in range(1, len(words)):
            first, word = words[begin], words[index]
            alone = index + 1 == len(words) and end != "{"
            if alone or word.quoted or not self.first_on_line(word.span.start):
                continue
            if not self._aligned(first, word) and not _hides_brace(words[index - 1]):
                continue
            if not self.known(word.text):
                continue
            pieces.append(words[begin:index])
            begin = index
        pieces.append(words[begin:])
        return pieces

    def _aligned(self, first: Word, word: Word) -> bool:
        return self.first_on_line(first.span.start) and self.indent(first.span.start) == self.indent(
            word.span.start
        )

    def _missing_end(self, words: list[Word]) -> None:
        self.problems.error(
            f'directive "{words[0].text}" is not terminated by ";"',
            _after(words[-1]),
            label='";" expected here',
            hint='did you forget the ";"?',
        )

    def _is_quantifier(self, words: list[Word], at: int) -> bool:
        """The `{` of `location ~ /[0-9]{4}/` starts a block for want of quotes. Goes on as if quoted."""
        last = words[-1]
        if last.quoted or last.span.end != at or not _QUANTIFIER.match(self.source.text, at):
            return False
        self.problems.error(
            f'unexpected "{{" in "{last.text}{{"',
            Span(self.source, at, at + 1),
            label="starts a block here",
            hint='a pattern with "{" or ";" in it needs quotes around it',
        )
        self._glued = words
        return True

    def _unsplit(self, statement: Statement) -> Statement:
        if not statement.words:
            return statement
        glued, self._glued = self._glued, []
        head, tail = glued[-1], statement.words[0]
        word = Word(f"{head.text}{{{tail.text}", Span(self.source, head.span.start, tail.span.end), False)
        return Statement([*glued[:-1], word, *statement.words[1:]], statement.end, statement.at)

    def _stray(self, at: int) -> None:
        self.strays += 1
        hint = 'there is no open block for it to close: remove it, or find the "{" that is missing'
        label = "closes nothing"
        index = self._closed_too_early(at)
        if index is not None:
            block = self.items[index]
            early = self.closed_at[block.span.start]
            hint = self._closed_already(block)
            if self.indent(early) != self.indent(block.span.start):
                # The one that closed it does not even look as if it should: that is the one too many.
                at, label = early, f'closes "{block.text}" of line {block.span.line} too early'
                block, last = self._without_strangers(block)
                hint = 'one "}" is too many' if last is None else self._closed_already(last)
            inside = (*(block.block or ()), *self.items[index + 1 :])
            self.items[index:] = [Directive(block.name, block.args, inside, block.span)]
        elif (nearest := self._nearest_block()) is not None:
            hint = self._closed_already(self.items[nearest])
            self.items[nearest + 1 :] = [item for item in self.items[nearest + 1 :] if self.known(item.text)]
        self.problems.error('unexpected "}"', Span(self.source, at, at + 1), label=label, hint=hint)

    def _closed_already(self, block: Directive) -> str:
        line = self.source.position(self.closed_at[block.span.start])[0]
        return (
            f'the block "{block.text}" of line {block.span.line} was already closed in line {line}: '
            'one "}" is too many'
        )

    def _closed_too_early(self, at: int) -> int | None:
        """Find the last outermost block with something behind it that is indented as if it stood inside.

        The stray `}` itself is such a thing, if it stands where the block's own should.
        """
        if self.items and self._closed_here(self.items[-1]) and self.first_on_line(at):
            indent = self.indent(self.items[-1].span.start)
            if self.indent(at) == indent != self.indent(self.closed_at[self.items[-1].span.start]):
                return len(self.items) - 1
        shallowest: int | None = None
        for index in range(len(self.items) - 1, -1, -1):
            item = self.items[index]
            if item.span.source is not self.source:
                return None
            indent = self.indent(item.span.start)
            if self._closed_here(item) and shallowest is not None and shallowest > indent:
                return index
            shallowest = indent if shallowest is None else min(shallowest, indent)
        return None

    def _nearest_block(self) -> int | None:
        for index in range(len(self.items) - 1, -1, -1):
            if self._closed_here(self.items[index]):
                return index
        return None

    def _without_strangers(self, block: Directive) -> tuple[Directive, Directive | None]:
        """Take the words nobody knows from the end of a block: they belong to the block before them.

        Returns what is left, and that last block.
        """
        items = list(block.block or ())
        strangers = 0
        while strangers < len(items) and items[-1 - strangers].block is None:
            strangers += 1
        kept = len(items) - strangers
        if kept == 0 or not self._closed_here(items[kept - 1]):
            return block, None
        remaining = (*items[:kept], *(item for item in items[kept:] if self.known(item.text)))
        return Directive(block.name, block.args, remaining, block.span), items[kept - 1]

    def _closed_here(self, directive: Directive) -> bool:
        return directive.span.source is self.source and directive.span.start in self.closed_at


def _hides_brace(word: Word) -> bool:
    return not word.quoted and word.text.endswith("}") and "{" not in word.text


def _span(words: list[Word]) -> Span:
    first = words[0].span
    return Span(first.source, first.start, words[-1].span.end)


def _after(word: Word) -> Span:
    return Span(word.span.source, word.span.end, word.span.end)
