"""Files beside those that were meant to be served."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.config.tree import Directive
from penstock.doctor.finding import WARNING, Finding, Fix, Related
from penstock.doctor.repair.edits import quoted, replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.pattern_groups import groups, pattern_of
from penstock.doctor.site.site import Site

_LAST = re.compile(r"/\$(?:\{(\w+)\}|(\w+))$", re.ASCII)


def traversal(site: Site) -> Iterator[Finding]:
    """Find `location /files { alias /data/; }`, where /files../secret is /data/../secret."""
    for level in site.main.walk():
        for each in level.own("alias"):
            if level.kind != "location" or not each.args or level.directive is None:
                continue
            example = _example(level, each)
            if not example:
                continue
            plain = level.modifier in ("", "^~")
            word = level.directive.args[-1]
            yield Finding(
                "alias-traversal",
                WARNING,
                f"{example[0]} is answered with {example[1]}: one folder up from what is meant",
                word.span,
                label="nothing ends the name of the folder here",
                advice="end the location with a slash, as the alias does"
                if plain
                else "let the pattern have a slash before what it captures",
                related=(Related(each.span, "this takes the place of what the location matches"),),
                fix=Fix("end the location with a slash", (replaced(word, quoted(word.text + "/")),)) if plain else None,
            )


def _example(level: Level, alias: Directive) -> tuple[str, str] | None:
    """A path, and the file that it reaches."""
    target = alias.words[0]
    if level.modifier in ("", "^~"):
        if level.path.endswith("/") or not target.endswith("/") or level.path.startswith("@"):
            return None
        return f"{level.path}../file", f"{target}../file"
    pattern, last = pattern_of(level), _LAST.search(target)
    if not pattern or last is None:
        return None
    name = last[1] or last[2]
    found = groups(pattern)
    group = next((each for each in found if each.name == name), None)
    if group is None and name.isdigit() and 0 < int(name) <= len(found):
        group = found[int(name) - 1]
    if group is None or not group.text.startswith((".*", ".+")) or pattern[: group.start].endswith(("/", "/?", "/+")):
        return None
    return f"{pattern[: group.start].lstrip('^')}../file", f"{target[: last.start()]}/../file"


RULES = (Rule("alias-traversal", WARNING, "an alias that lets people out of its folder", traversal),)
