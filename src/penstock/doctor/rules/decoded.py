"""Decoded paths in headers and request lines: `%0d%0a` in a URL becomes a line end there (nginx; Penstock encodes)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.config.source import Span
from penstock.config.tree import Directive, Word
from penstock.doctor.finding import WARNING, Finding, Fix, Related
from penstock.doctor.repair.edits import quoted, replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.pattern_groups import PatternGroup, groups, may_hold_line_ends, pattern_of
from penstock.doctor.site.site import Site

_DECODED = frozenset(
    ("uri", "document_uri", "request_filename", "fastcgi_script_name", "fastcgi_path_info")
)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([0-9]|[A-Za-z_]\w*))", re.ASCII)
_WHOLE = re.compile(
    r"\$(?:document_)?uri\b(?:\$is_args\$args|\?\$(?:args|query_string))?|\$\{(?:document_)?uri\}", re.IGNORECASE
)
_REDIRECTS = ("301", "302", "303", "307", "308")
_DEEPEST = 5
_VALUES = {
    "proxy_set_header": ("a header to the backend", 1),
    "add_header": ("a header of the answer", 1),
    "add_trailer": ("a trailer of the answer", 1),
    "proxy_pass": ("the backend's request line", 0),
    "proxy_method": ("the backend's request line", 0),
    "auth_basic": ("a header of the answer", 0),
}
"""Where a line end does harm, and the first argument that goes there."""


def injected(site: Site) -> Iterator[Finding]:
    """Say where a decoded path goes raw into a head."""
    if not site.target.nginx:
        return
    for level in site.main.walk():
        for each in level.items:
            for word, what in _sinks(each):
                source = _source(site, level, each, word.text, 0)
                if source is not None:
                    yield _finding(level, each, word, what, *source)


def _sinks(directive: Directive) -> list[tuple[Word, str]]:
    """The words of a directive that go into a head."""
    name = directive.name.text
    if name in _VALUES:
        what, first = _VALUES[name]
        words = directive.args[first : first + 1]
        if name == "proxy_pass" and words and "$" not in words[0].text:
            return []
        return [(each, what) for each in words]
    if name == "return" and directive.args:
        if len(directive.args) == 2 and directive.words[0] in _REDIRECTS:
            return [(directive.args[1], "the answer's Location")]
        if len(directive.args) == 1 and not directive.words[0].isdigit():
            return [(directive.args[0], "the answer's Location")]
    if name == "error_page" and directive.args and "://" in directive.words[-1]:
        return [(directive.args[-1], "the answer's Location")]
    return []


def _source(site: Site, level: Level, at: Directive, text: str, depth: int) -> tuple[str, Span | None] | None:
    """The variable in a text that holds a decoded path, and the line it has it from."""
    if depth > _DEEPEST:
        return None
    for match in _VARIABLE.finditer(text):
        name = (match[1] or match[2]).lower()
        if name in _DECODED:
            return name, None
        captured = _captured(level, at, match[1] or match[2])
        if captured is not None:
            return name, captured
        table = site.maps.get(name)
        lines = [] if table is None else [line for line in table.block or () if len(line.args) == 1]
        for line in lines:
            through = _through_map(site, level, table, line, depth)
            if through:
                return name, line.span
        for outer in level.outwards():
            for given in outer.own("set"):
                if len(given.args) != 2 or given.words[0][1:].lower() != name or given is at:
                    continue
                if _source(site, outer, given, given.words[1], depth + 1) is not None:
                    return name, given.span
    return None


def _through_map(site: Site, level: Level, table: Directive | None, line: Directive, depth: int) -> bool:
    if table is None:
        return False
    if _source(site, level, table, line.words[0], depth + 1) is not None:
        return True
    if not line.name.text.startswith("~") or _source(site, level, table, table.words[0], depth + 1) is None:
        return False
    found = groups(line.name.text.lstrip("~*"))
    used = {match[1] or match[2] for match in _VARIABLE.finditer(line.words[0])}
    return any(_named(found, name) is not None and may_hold_line_ends(_named(found, name) or found[0]) for name in used)


def _captured(level: Level, at: Directive, name: str) -> Span | None:
    """The pattern whose group of that name or number may hold a line end of the decoded path."""
    for outer in level.outwards():
        for given, pattern in _patterns(outer):
            if given is at and at.name.text == "rewrite":
                continue
            group = _named(groups(pattern), name)
            if group is not None and may_hold_line_ends(group):
                return given.span
        if outer.kind == "location":
            break
    return None


def _patterns(level: Level) -> Iterator[tuple[Directive, str]]:
    """Patterns that a level compares the decoded path with."""
    if level.directive is not None and pattern_of(level):
        yield level.directive, pattern_of(level)
    for each in level.own("rewrite"):
        if each.args:
            yield each, each.words[0]
    if level.kind == "if" and level.directive is not None and len(level.directive.args) == 3:
        variable, operator, pattern = level.directive.words
        if operator in ("~", "~*") and variable.strip("(${}").lower() in _DECODED:
            yield level.directive, pattern.removesuffix(")")


def _named(found: list[PatternGroup], name: str) -> PatternGroup | None:
    if name.isdigit():
        return found[int(name) - 1] if 0 < int(name) <= len(found) else None
    return next((each for each in found if each.name == name), None)


def _finding(
    level: Level, directive: Directive, word: Word, what: str, name: str, origin: Span | None
) -> Finding:
    fix = None
    rewritten = any(outer.own("rewrite") for outer in level.outwards())
    if origin is None and name in ("uri", "document_uri") and not rewritten and _WHOLE.search(word.text):
        meant = _WHOLE.sub("$request_uri", word.text)
        fix = Fix("pass on what the client sent", (replaced(word, quoted(meant)),))
    return Finding(
        "decoded-variable",
        WARNING,
        f"${name} puts the decoded path into {what}: %0d%0a in a URL becomes a line end there",
        word.span,
        label="a client can add headers of its own, or a request",
        advice="$request_uri is the path as it was sent"
        if origin is None
        else "let the pattern exclude line ends: [^/\\s] in place of [^/]",
        related=() if origin is None else (Related(origin, "what it has it from"),),
        fix=fix,
    )


RULES = (Rule("decoded-variable", WARNING, "a decoded path goes into a header or a request line", injected),)
