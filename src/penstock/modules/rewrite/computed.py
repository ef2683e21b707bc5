"""Variables computed from others when they are read: `map`, `geo`, `split_clients` declare theirs here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.scope import Compilation
from penstock.config.source import Span
from penstock.config.tree import Word
from penstock.config.variables import Getter, Variable, VariableTable, of_lines
from penstock.http.request import Request
from penstock.observe.errorlog import ERROR, report

Compute: TypeAlias = Callable[[Request], str | None]
"""None is for what is not found; that is not remembered."""


@dataclass(frozen=True, slots=True)
class ComputedVariable:
    """How a variable is computed, and the names of those it may read."""

    compute: Compute
    reads: frozenset[str]


def variable_name(word: Word) -> str:
    """Return the name in `$name`; raises `ConfigError`."""
    if not word.text.startswith("$") or word.text == "$":
        raise ConfigError(f'invalid variable name "{word.text}"', word.span, hint="a variable is written $name")
    return word.text[1:].lower()


COMPUTED: Key[dict[str, ComputedVariable]] = Key("computed variables")


def declare(
    compilation: Compilation,
    word: Word,
    compute: Compute,
    reads: Iterable[str],
    *,
    remember: bool,
    clean: bool = False,
    same: Callable[[], bool] | None = None,
) -> None:
    """Declare the variable `word` names. `remember`: its first value stands until the request ends; `clean`: no value
    has a control character in it; `same`: what to ask for `of_lines`."""
    name = variable_name(word)
    table = compilation.variables
    get = _remembered(name, compute) if remember else _afresh(name, compute)
    if same is not None:
        of_lines(same)(get)
    _define(table, name, get, word.span, clean=clean)
    gathered = compilation.shared.setdefault(COMPUTED, {})
    if not gathered:
        compilation.defer(lambda: _find_late(table, gathered))
    gathered[name] = ComputedVariable(compute, frozenset(reads))


def _define(
    table: VariableTable, name: str, get: Getter, span: Span | None = None, *, late: bool = False, clean: bool = False
) -> None:
    """Into the table; what `set` has written goes before what is computed."""
    known = table.made.get(name)
    table.define(Variable(name, get, None, late, clean), span)
    if known is not None and known.set is not None:
        table.stored(name, span)


def _remembered(name: str, compute: Compute) -> Getter:
    def get(request: Request) -> str | None:
        cached = request.cached
        if name in cached:
            value = cached[name]
            if value is None:
                report(request, ERROR, f'cycle while evaluating variable "{name}"')
            return value
        cached[name] = None
        value = compute(request)
        if value is None:
            del cached[name]
        else:
            cached[name] = value
        return value

    return get


def _afresh(name: str, compute: Compute) -> Getter:
    def get(request: Request) -> str | None:
        cached = request.cached
        if name in cached:
            report(request, ERROR, f'cycle while evaluating variable "{name}"')
            return None
        cached[name] = None
        try:
            return compute(request)
        finally:
            del cached[name]

    return get


def _find_late(table: VariableTable, gathered: dict[str, ComputedVariable]) -> None:
    """What reads a variable that changes while the answer is sent changes too, and is not remembered."""
    waiting = dict(gathered)
    while True:
        found = [name for name, each in waiting.items() if any(_is_late(table, read) for read in each.reads)]
        if not found:
            return
        for name in found:
            _define(table, name, _afresh(name, waiting.pop(name).compute), late=True)


def _is_late(table: VariableTable, name: str) -> bool:
    known = table.known(name) or table.words.of_family(name)
    return known is not None and known.late
