"""`$1` that means another pattern than the one it was written for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.config.source import Span
from penstock.config.tree import Directive, Word
from penstock.doctor.finding import WARNING, Edit, Finding, Fix, Related
from penstock.doctor.repair.edits import replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.pattern_groups import groups, pattern_of
from penstock.doctor.site.site import Site

_NUMBER = re.compile(r"\$(?:\{([1-9])\}|([1-9]))", re.ASCII)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)
_SET = "proxy_set_header"
_DEEPEST = 5


def overwritten(site: Site) -> Iterator[Finding]:
    """Find a map with a regular expression that is read between a pattern and the use of its `$1`."""
    if not any(_pattern_line(table) for table in site.maps.values()):
        return
    for level in site.main.walk():
        if level.kind not in ("server", "location", "if"):
            continue
        for place, each in enumerate(level.items):
            if each.block is None and _NUMBER.search(" ".join(each.words[_first(each) :])):
                culprit = _culprit(site, level, place, each)
                if culprit is not None:
                    yield _finding(level, each, *culprit)


def _first(directive: Directive) -> int:
    """The first argument in which `$1` is a capture: those of a pattern itself are not."""
    return 1 if directive.name.text in ("rewrite", "set", _SET, "add_header") else 0


def _culprit(site: Site, level: Level, place: int, directive: Directive) -> tuple[str, Directive, Span] | None:
    """The variable, its map, and where it is read."""
    own = _risky(site, level, " ".join(directive.words[_first(directive) :]))
    if own is not None:
        return *own, directive.span
    if directive.name.text == _SET:
        for other in level.own(_SET):
            found = _risky(site, level, " ".join(other.words[1:]))
            if found is not None:
                return *found, other.span
    if directive.name.text == "rewrite" or level.kind == "if":
        return None
    # What stands before it in the rewrite phase, behind the last pattern.
    for before in reversed(level.items[:place] if directive.name.text in ("set", "return") else level.items):
        name = before.name.text
        if name == "rewrite":
            return None
        if before is directive or name not in ("set", "if"):
            continue
        words = before.words[1:] if name == "set" else before.words
        found = _risky(site, level, " ".join(words))
        if found is not None:
            return *found, before.span
    return None


def _risky(site: Site, level: Level, text: str, depth: int = 0) -> tuple[str, Directive] | None:
    """A variable in a text whose map may try a regular expression."""
    if depth > _DEEPEST:
        return None
    for match in _VARIABLE.finditer(text):
        name = (match[1] or match[2]).lower()
        table = site.maps.get(name)
        if table is None:
            continue
        if _pattern_line(table) is not None or _risky(site, level, table.words[0], depth + 1) is not None:
            return name, table
        for line in table.block or ():
            if len(line.args) == 1 and _risky(site, level, line.words[0], depth + 1) is not None:
                return name, table
    return None


def _pattern_line(table: Directive) -> Directive | None:
    return next((each for each in table.block or () if each.name.text.startswith("~") and len(each.args) == 1), None)


def _finding(level: Level, directive: Directive, name: str, table: Directive, read: Span) -> Finding:
    number = _NUMBER.search(" ".join(directive.words[_first(directive) :]))
    assert number is not None
    line = _pattern_line(table)
    return Finding(
        "map-captures",
        WARNING,
        f"{number[0]} may be another one than is meant: reading ${name} tries the patterns of its map, "
        "and the one that matches puts its groups in place of these",
        directive.span,
        label="empty, a piece of something else, or 500",
        advice="name the group: (?<rest>.*) and $rest in place of (.*) and $1",
        related=tuple(
            Related(span, text)
            for span, text in (
                (read if read != directive.span else None, f"${name} is read here"),
                ((line or table).span, "this pattern takes the groups over"),
            )
            if span is not None
        ),
        fix=_named(level, directive),
    )


def _named(level: Level, directive: Directive) -> Fix | None:
    """Names for the groups, where pattern and uses are plain to see: of a rewrite, or of a location without another."""
    if directive.name.text == "rewrite":
        word, uses = directive.args[0], [directive.args[1]]
    else:
        if not pattern_of(level) or level.below or level.own("rewrite") or level.directive is None:
            return None
        word = level.directive.args[-1]
        uses = [each for item in level.items for each in item.args if _NUMBER.search(each.text)]
    found = groups(word.span.text)
    if not found or any(each.name for each in found) or word.span.source is not directive.span.source:
        return None
    numbers = {int(match[1] or match[2]) for each in uses for match in _NUMBER.finditer(each.text)}
    if not numbers or max(numbers) > len(found) or groups(word.text)[-1].text != found[-1].text:
        return None
    edits = [_renumbered(each) for each in uses]
    text = word.span.text
    for number in sorted(numbers, reverse=True):
        start = found[number - 1].start + 1
        text = f"{text[:start]}?<part{number}>{text[start:]}"
    return Fix("name the groups", (replaced(word, text), *edits))


def _renumbered(word: Word) -> Edit:
    return replaced(word, _NUMBER.sub(lambda match: f"${{part{match[1] or match[2]}}}", word.span.text))


RULES = (Rule("map-captures", WARNING, "a map with a pattern puts its groups in place of $1", overwritten),)
