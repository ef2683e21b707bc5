"""A configuration as rules see it: the levels of its tree, and what holds at each by nginx's inheritance.

It is made from the tree alone, so that it also understands what could not be compiled: a file that includes others
which are not here, directives of modules nobody has, a `location` on its own without the `server` around it.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.source import Span
from penstock.config.tree import Directive

PLACEHOLDERS = ("...", "\xe2\x80\xa6")
"""What examples leave out: a `...` before a block is no part of its name."""

_KINDS = frozenset(("http", "server", "location", "if", "limit_except", "upstream", "events", "stream", "mail"))


class Level:
    """One block: its directive, the level around it, the directives at this very level, the levels below.

    `kind` is the name of its directive for the levels of nginx's http, "main" for the file itself, else "other".
    """

    __slots__ = ("_named", "below", "directive", "items", "kind", "outer")

    def __init__(self, kind: str, directive: Directive | None, outer: Level | None) -> None:
        self.kind = kind
        self.directive = directive
        self.outer = outer
        self.items: list[Directive] = []
        self.below: list[Level] = []
        self._named: dict[str, list[Directive]] = {}

    def add(self, directive: Directive) -> None:
        """Add one more directive to this level."""
        self.items.append(directive)
        self._named.setdefault(directive.name.text, []).append(directive)

    def own(self, name: str) -> list[Directive]:
        """Return the directives of that name at this very level."""
        return self._named.get(name, [])

    def find(self, name: str) -> Directive | None:
        """Find the directive in force: the nearest level's."""
        found = self.every(name)
        return found[-1] if found else None

    def every(self, name: str) -> list[Directive]:
        """Return the directives in force, where a level's list replaces the outer one, as for proxy_set_header."""
        level = self.giving(name)
        return [] if level is None else level.own(name)

    def giving(self, name: str) -> Level | None:
        """Return the nearest level, this one or one around it, that has directives of that name."""
        level: Level | None = self
        while level is not None:
            if name in level._named:
                return level
            level = level.outer
        return None

    def enclosing(self, kind: str) -> Level | None:
        """Return the nearest level of a kind, this one or one around it."""
        level: Level | None = self
        while level is not None:
            if level.kind == kind:
                return level
            level = level.outer
        return None

    def outwards(self) -> Iterator[Level]:
        """Give this level and those around it."""
        level: Level | None = self
        while level is not None:
            yield level
            level = level.outer

    def walk(self) -> Iterator[Level]:
        """Give this level and all below it, in the order of the file."""
        yield self
        for each in self.below:
            yield from each.walk()

    @property
    def name(self) -> str:
        """Return the arguments of its directive: a location's path, an upstream's name."""
        return " ".join(self.directive.words) if self.directive is not None else ""

    @property
    def path(self) -> str:
        """Return what a location matches, without its modifier."""
        if self.directive is None or not self.directive.args:
            return ""
        words = self.directive.words
        return words[-1] if len(words) > 1 else words[0].lstrip("=~*^") or words[0]

    @property
    def modifier(self) -> str:
        """Return `=`, `~`, `~*`, `^~` or nothing; `$` where a variable decides and not the path."""
        if self.directive is None or not self.directive.args:
            return ""
        words = self.directive.words
        if len(words) > 1:
            return words[0]
        return next((each for each in ("~*", "^~", "~", "=", "$") if words[0].startswith(each)), "")

    @property
    def span(self) -> Span | None:
        return None if self.directive is None else self.directive.span


def levels(tree: tuple[Directive, ...]) -> Level:
    """Return the levels of a whole configuration."""
    main = Level("main", None, None)
    _fill(main, tree)
    return main


def _fill(level: Level, directives: tuple[Directive, ...]) -> None:
    for each in directives:
        directive = _without_dots(each)
        level.add(directive)
        if directive.block is None:
            continue
        name = directive.name.text
        if name == "server" and level.kind == "upstream":
            continue
        inner = Level(name if name in _KINDS else "other", directive, level)
        level.below.append(inner)
        _fill(inner, directive.block)


def _without_dots(directive: Directive) -> Directive:
    if directive.name.text not in PLACEHOLDERS or not directive.args:
        return directive
    first = directive.args[0]
    span = Span(first.span.source, first.span.start, directive.span.end)
    return Directive(first, directive.args[1:], directive.block, span)
