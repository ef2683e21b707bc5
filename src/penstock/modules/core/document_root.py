"""Where the files of a location are, and of which type: `root`, `alias`, `types` (nginx: ngx_http_core_module).

Variables, logs, `rewrite` and all that answers from files ask for it; `content/static.py` serves them.
"""

from __future__ import annotations

from typing import Final

from penstock.config.errors import ConfigError
from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LOCATION, block
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive
from penstock.config.tree import Directive
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.http.uri import exten
from penstock.modules.core.files.paths import ups, within
from penstock.modules.core.http_core import PAGE
from penstock.plan.location import OWN_LOCATION

DEFAULT_TYPES: Final = {"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg"}
"""What nginx knows without a `types` block."""


def _root(call: Call) -> Template:
    word = call.args[0]
    path = word.text
    if call.name == "alias" and call.scope.data[OWN_LOCATION].kind == "named":
        raise call.fail('the "alias" directive cannot be used inside the named location')
    if "$document_root" in path or "${document_root}" in path:
        raise call.fail("the $document_root variable cannot be used in the \"root\" directive", word)
    if not path.startswith("$"):
        path = call.compilation.logs_path(path) if path else call.compilation.prefix
    if call.name == "root":
        path = path.rstrip("/")
    return call.compilation.variables.template(path, word.span)


class Files(Settings):
    """Where a location's files are."""

    root: Template | None = directive(
        "root",
        where=HTTP_LEVELS | IF_LOCATION,
        takes=custom(_root, syntax="path"),
        nginx=PAGE,
        shown="html",
    )
    alias: Template | None = directive(
        "alias", where=LOCATION, takes=custom(_root, syntax="path"), nginx=PAGE
    )
    types: dict[str, str] | None = None
    aliased: str = ""
    """The location's name that `alias` replaces; empty in a location by regular expression or predicate."""
    by_regex: bool = False
    climbs: int = 0
    """How often the directive's own text goes to the folder above."""

    def finish(self, scope: Scope) -> None:
        """Choose between `root` and `alias`, of which the inner one holds. Raises `ConfigError` where a level has
        both."""
        if "root" in self.origins and "alias" in self.origins and scope.own.get(Files, {}).keys() >= {"root", "alias"}:
            raise ConfigError(
                '"root" directive is duplicate, "alias" directive was specified earlier', self.origins["root"][0]
            )
        if scope.own.get(Files, {}).get("root") is not None:
            self.alias = None
        if self.root is None:
            self.root = scope.compilation.variables.template(scope.compilation.logs_path("html"))
        if self.alias is not None:
            location = _given_in(scope, "alias").data[OWN_LOCATION]
            self.by_regex = location.kind in ("regex", "predicate")
            self.aliased = "" if self.by_regex else location.name
        given = self.alias or self.root
        assert given is not None
        self.climbs = ups(given.text)
        level = _given_in(scope, "types")
        self.types = level.own.get(Files, {}).get("types", DEFAULT_TYPES)

    def path(self, request: Request, uri: str) -> str:
        """Return the file for a path of the request's location."""
        if self.alias is None:
            assert self.root is not None
            path = self.root.evaluate(request) + uri
        elif self.by_regex:
            path = self.alias.evaluate(request)
            if request.add_uri_to_alias:
                path += uri
        else:
            path = self.alias.evaluate(request) + uri[len(self.aliased) :]
        return within(request, path, self.climbs) if "/.." in path else path

    def type_of(self, uri: str, default: str) -> str | None:
        """Return the media type by the file's extension; None where neither it nor a default says."""
        assert self.types is not None
        return self.types.get(exten(uri).lower(), default) or None


def _given_in(scope: Scope, name: str) -> Scope:
    """The nearest level that gives a value of its own; the outermost where none does."""
    level = scope
    while name not in level.own.get(Files, {}) and level.parent is not None:
        level = level.parent
    return level


@block("types", where=HTTP_LEVELS, nginx=PAGE)
def types(scope: Scope, directive: Directive) -> None:
    """Media types by extension: `text/html html htm;`. The block replaces the one of the level above."""
    table: dict[str, str] = scope.own.setdefault(Files, {}).setdefault("types", {})
    for line in directive.block or ():
        for word in line.args:
            extension = word.text.lower()
            if extension in table:
                scope.compilation.problems.warn(
                    f'duplicate extension "{extension}", content type: "{line.name.text}", '
                    f'previous content type: "{table[extension]}"',
                    word.span,
                )
            table[extension] = line.name.text


