"""Changes to a configuration that leave everything else as it is, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Sequence

from penstock.config.source import Source
from penstock.config.tree import Directive, Word
from penstock.doctor.finding import Edit
from penstock.doctor.site.level import Level

_END = re.compile(r"(?:\s|#[^\n]*\n)*;")
_OPEN = re.compile(r"(?:\s|#[^\n]*\n)*\{")
_REST = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?=\r?\n|\Z)")
_PLAIN = re.compile(r"[^\s;{}\"'#\\]+")


def quoted(text: str) -> str:
    """Write a word as it has to be written."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def replaced(word: Word, text: str) -> Edit:
    """Make the edit that puts another text in place of one word."""
    return Edit(word.span.source, word.span.start, word.span.end, text)


def renamed(directive: Directive, name: str) -> Edit:
    """Make the edit that gives a directive another name; what follows keeps its column where there is room for it."""
    source, start = directive.span.source, directive.name.span.start
    end = directive.args[0].span.start if directive.args else directive.name.span.end
    between = source.text[directive.name.span.end : end]
    if between.strip(" "):
        return replaced(directive.name, name)
    return Edit(source, start, end, f"{name} ".ljust(end - start))


def removed(directive: Directive) -> Edit | None:
    """Make the edit that takes a directive out, with its line where nothing else stands on it."""
    source = directive.span.source
    end = _end(directive)
    if end is None:
        return None
    start = directive.span.start
    line = source.text.rfind("\n", 0, start) + 1
    rest = _REST.match(source.text, end)
    first = not source.text[line:start].strip()
    if first and rest is not None and "#" not in rest[0]:
        end = rest.end()
        if source.text.startswith("\r\n", end):
            end += 2
        elif source.text.startswith("\n", end):
            end += 1
        return Edit(source, line, end, "")
    while source.text[end : end + 1] in (" ", "\t") and (first or source.text[start - 1 : start] in (" ", "\t")):
        end += 1
    return Edit(source, start, end, "")


def after(directive: Directive, lines: Sequence[str]) -> Edit | None:
    """Make the edit that puts lines behind a simple directive, indented as it is."""
    source = directive.span.source
    end = _end(directive)
    if end is None:
        return None
    indent = _indent(source, directive.span.start)
    if indent is None:
        return Edit(source, end, end, "".join(f" {line}" for line in lines))
    rest = _REST.match(source.text, end)
    at = rest.end() if rest is not None else end
    return Edit(source, at, at, "".join(f"{_newline(source)}{indent}{line}" for line in lines))


def before(directive: Directive, lines: Sequence[str]) -> Edit:
    """Make the edit that puts lines before a directive, indented as it is. Lines may begin with spaces of their own."""
    source = directive.span.source
    start = directive.span.start
    indent = _indent(source, start)
    if indent is None:
        return Edit(source, start, start, "".join(f"{line.strip()} " for line in lines))
    newline = _newline(source)
    text = newline.join(indent + line if line else "" for line in lines)
    return Edit(source, start, start, text.removeprefix(indent) + newline + indent)


def opening(level: Level, lines: Sequence[str]) -> Edit | None:
    """Make the edit that puts lines at the beginning of a block, indented as what is there."""
    directive = level.directive
    if directive is None:
        return None
    source = directive.span.source
    match = _OPEN.match(source.text, directive.span.end)
    if match is None:
        return None
    at = match.end()
    first = next((each for each in level.items if each.span.source is source and each.span.start >= at), None)
    indent = None if first is None else _indent(source, first.span.start)
    rest = _REST.match(source.text, at)
    if indent is None or rest is None:
        return Edit(source, at, at, "".join(f" {line}" for line in lines))
    return Edit(source, rest.end(), rest.end(), "".join(f"{_newline(source)}{indent}{line}" for line in lines))


def behind_own(level: Level, lines: Sequence[str], *names: str) -> Edit | None:
    """Make the edit that puts lines into a level: behind the last directive of one of these names, or at the beginning
    of the block.

    What came by an `include` is left alone: that file may belong to others too.
    """
    source = None if level.directive is None else level.directive.span.source
    for name in names:
        here = [each for each in level.own(name) if source is None or each.span.source is source]
        edit = after(here[-1], lines) if here else None
        if edit is not None:
            return edit
    return opening(level, lines)


def unit(level: Level) -> str:
    """Return by how much what is in a block is indented further than the block; four spaces where that can not be seen.
    """
    outer, first = level.directive, level.items[0] if level.items else None
    if outer is None or first is None or first.span.source is not outer.span.source:
        return "    "
    around, inside = (_indent(each.span.source, each.span.start) for each in (outer, first))
    if around is None or inside is None or not inside.startswith(around) or inside == around:
        return "    "
    return inside.removeprefix(around)


def _end(directive: Directive) -> int | None:
    """The offset behind a simple directive's semicolon."""
    match = _END.match(directive.span.source.text, directive.span.end)
    return None if match is None else match.end()


def _indent(source: Source, start: int) -> str | None:
    """What stands before a directive that begins its line; None for one that does not."""
    line = source.text.rfind("\n", 0, start) + 1
    indent = source.text[line:start]
    return None if indent.strip() else indent


def _newline(source: Source) -> str:
    return "\r\n" if "\r\n" in source.text else "\n"
