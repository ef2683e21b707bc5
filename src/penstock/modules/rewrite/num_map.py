"""Variables by a table of numbers and their ranges: `num_map` (nginx: ngx_http_num_map_module)."""

from __future__ import annotations

import re

from penstock.config.errors import ConfigError
from penstock.config.registry import HTTP, STREAM, block
from penstock.config.scope import Call, Scope
from penstock.config.tree import Directive, Word
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.modules.rewrite.computed import variable_name
from penstock.modules.rewrite.map import declare_look_up, pair_of

PAGE = "ngx_http_num_map_module.html"
DIGITS = 9
"""How many of them there may be behind the point."""
_NUMBER = r"(-?[0-9]{1,18}(?:\.[0-9]{1,9})?)"
_number = re.compile(_NUMBER, re.ASCII).fullmatch
_between = re.compile(f"{_NUMBER}-{_NUMBER}", re.ASCII).fullmatch
_beyond = re.compile(f"(<=|>=|<|>){_NUMBER}", re.ASCII).fullmatch
_ANY = 10 ** (20 + DIGITS)
"""More than any number."""


def _exactly(text: str) -> int:
    """Make a whole number of one with a point, so that nothing is rounded."""
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(DIGITS, "0"))


def _range(text: str) -> tuple[int, int] | None:
    """Return the first and the last number of a range; None where it is none."""
    found = _between(text)
    if found is not None:
        return _exactly(found[1]), _exactly(found[2])
    found = _beyond(text)
    if found is None:
        return None
    sign, end = found[1], _exactly(found[2])
    if sign.startswith("<"):
        return -_ANY, end if sign == "<=" else end - 1
    return end if sign == ">=" else end + 1, _ANY


class NumberTable:
    """What a `num_map` looks up: numbers, then ranges in their order, then the default."""

    __slots__ = ("_numbers", "_ranges", "default")
    captures = False

    def __init__(self) -> None:
        self.default: Template | None = None
        self._numbers: dict[int, Template] = {}
        self._ranges: list[tuple[int, int, Template]] = []

    def values(self) -> list[Template]:
        """Return every value there may be."""
        found = [*self._numbers.values(), *(value for _, _, value in self._ranges)]
        return found if self.default is None else [*found, self.default]

    def add(self, key: Word, value: Template) -> None:
        """Add a value for a number or a range. Raises `ConfigError`."""
        text = key.text
        if _number(text):
            number = _exactly(text)
            if number in self._numbers:
                raise ConfigError(f'conflicting parameter "{text}"', key.span, hint="it is there already")
            self._numbers[number] = value
            return
        found = _range(text)
        if found is None:
            raise ConfigError(
                f'invalid number or range "{text}"', key.span, hint="write for example 443, 8080-8090, <=1023 or >0.5"
            )
        first, last = found
        if first > last:
            raise ConfigError(f'invalid range "{text}"', key.span, hint="the first number is the greater one")
        self._ranges.append((first, last, value))

    def find(self, text: str, request: Request) -> Template | None:
        """Find the value for a text; what is no number has the default's."""
        if not _number(text):
            return self.default
        number = _exactly(text)
        found = self._numbers.get(number)
        if found is not None:
            return found
        for first, last, value in self._ranges:
            if first <= number <= last:
                return value
        return self.default


@block("num_map", where=HTTP | STREAM, least=2, most=2, syntax="$number $variable { ... }", nginx=PAGE)
def num_map(scope: Scope, directive: Directive) -> None:
    """A variable whose value depends on a number: exact ones, then ranges (`8080-8090`, `<=1023`, `>0.5`) in their
    order.
    """
    source = Call(scope, directive).template(directive.args[0])
    target = directive.args[1]
    variable_name(target)
    table = NumberTable()
    remember = True
    for line in directive.block or ():
        with scope.compilation.collecting():
            if line.name.text == "volatile" and not line.args and line.block is None:
                remember = False
                continue
            value = pair_of(scope, table, line, "num_map")
            if value is not None:
                table.add(line.name, value)
    declare_look_up(scope, source, target, table, remember=remember)
