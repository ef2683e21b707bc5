"""Texts of the rewrite module, whose `$1` to `$9` are escaped where nginx escapes them (ngx_http_script.c).

A capture is a piece of the decoded path. Put into arguments or into a redirect it has to be encoded again, which
nginx does only for requests whose path came encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from penstock.config.source import Span
from penstock.config.variables import Template, VariableTable, split_template
from penstock.http.request import Request
from penstock.http.uri import escape_args

Evaluate: TypeAlias = Callable[[Request], str]


class CapturedText:
    """A text with variables. `plain` leaves captures as they are, `quoted` escapes those of an encoded path."""

    __slots__ = ("_parts", "template")

    def __init__(self, table: VariableTable, text: str, span: Span | None) -> None:
        self.template: Template = table.template(text, span)
        pieces, names = split_template(text, span)
        self._parts: tuple[Evaluate, ...] = ()
        if any(_is_capture(name) for name in names):
            left = iter(names)
            self._parts = tuple(_literal(each) if each is not None else _variable(table, next(left)) for each in pieces)

    def plain(self, request: Request) -> str:
        """Return the text with its variables as they are."""
        return self.template.evaluate(request)

    def quoted(self, request: Request) -> str:
        """Return the text with its captures escaped, where the request's path came escaped."""
        if not self._parts or not _came_encoded(request):
            return self.template.evaluate(request)
        return "".join([part(request) for part in self._parts])


def _is_capture(name: str) -> bool:
    return len(name) == 1 and name in "123456789"


def _literal(text: str) -> Evaluate:
    return lambda request: text


def _variable(table: VariableTable, name: str) -> Evaluate:
    template = table.template(f"${{{name}}}")
    if _is_capture(name):
        return lambda request: escape_args(template.evaluate(request))
    return lambda request: template.evaluate(request)


def _came_encoded(request: Request) -> bool:
    path = request.head.target.partition("?")[0]
    return "%" in path or "+" in path

