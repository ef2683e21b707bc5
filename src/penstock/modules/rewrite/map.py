"""Variables by a table of values: `map` (nginx: ngx_http_map_module)."""

from __future__ import annotations

from typing import Protocol

from penstock.config.errors import ConfigError
from penstock.config.host_names import HostNames, is_mask_or_name
from penstock.config.regex.pcre import Regex
from penstock.config.regex.regex import MatchFailed
from penstock.config.registry import HTTP, STREAM, block, inert
from penstock.config.scope import Call, Scope
from penstock.config.tree import Directive, Word
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.modules.core.locations import regex
from penstock.modules.rewrite.computed import declare, variable_name
from penstock.observe.errorlog import ALERT, report

PAGE = "ngx_http_map_module.html"
REMEMBERED, LONGEST = 256, 64
"""How many texts, and of which length, are remembered with what was found for them."""
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def lower(text: str) -> str:
    """Return ASCII letters in lower case, other bytes as they are."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


class Table(Protocol):
    """What is looked up, and by which texts."""

    default: Template | None

    @property
    def captures(self) -> bool:
        """Return whether a look-up may leave captures in the request."""
        ...

    def values(self) -> list[Template]:
        """Return every value there may be."""
        ...

    def find(self, text: str, request: Request) -> Template | None:
        """Find the value for a text."""
        ...


class MapTable:
    """What a `map` looks up: exact values in any case of letters, then masks of host names (the longest first,
    `*.name` before `name.*`), then regular expressions in their order, then the default.
    """

    __slots__ = ("_exact", "_names", "_regexes", "default", "hostnames")

    def __init__(self) -> None:
        self.default: Template | None = None
        self.hostnames = False
        self._names: HostNames[Template] = HostNames()
        self._exact = self._names.whole
        self._regexes: list[tuple[Regex, Template]] = []

    def values(self) -> list[Template]:
        """Return every value there may be."""
        found = self._names.values()
        found += [value for _, value in self._regexes]
        return found if self.default is None else [*found, self.default]

    @property
    def captures(self) -> bool:
        """Return whether a look-up may leave captures in the request: it has regular expressions."""
        return bool(self._regexes)

    def add_regex(self, pattern: Regex, value: Template) -> None:
        """Add a value for what a regular expression matches; they are tried in this order, after all texts."""
        self._regexes.append((pattern, value))

    def add(self, key: str, value: Template) -> None:
        """Add a value, or with `hostnames` a mask. Raises `KeyError` if it is there, `ValueError` if it is bad."""
        if not self.hostnames:
            if key in self._exact:
                raise KeyError(key)
            self._exact[key] = value
        elif not is_mask_or_name(key):
            raise ValueError(key)
        elif self._names.add(key, value) is not None:
            raise KeyError(key)

    def find(self, text: str, request: Request) -> Template | None:
        """Find the value for a text. A regular expression that matches leaves its captures in the request."""
        if self.hostnames and text.endswith("."):
            text = text[:-1]
        key = lower(text)
        found = self._exact.get(key)
        if found is not None:
            return found
        if not text:
            return self.default
        found = self._names.by_mask(key)
        if found is not None:
            return found
        try:
            for pattern, value in self._regexes:
                match = pattern.match(text)
                if match is not None:
                    request.captured(match, pattern)
                    return value
        except MatchFailed as error:
            report(request, ALERT, str(error))
        return self.default


@block("map", where=HTTP | STREAM, least=2, most=2, syntax="string $variable { ... }", nginx=PAGE)
def map_(scope: Scope, directive: Directive) -> None:
    """A variable whose value is looked up by that of a text, when it is read."""
    source = Call(scope, directive).template(directive.args[0])
    target = directive.args[1]
    variable_name(target)
    table = MapTable()
    remember = True
    for line in directive.block or ():
        with scope.compilation.collecting():
            if line.args or line.name.text not in ("hostnames", "volatile"):
                _entry(scope, table, line)
            elif line.name.text == "hostnames":
                table.hostnames = True
            else:
                remember = False

    declare_look_up(scope, source, target, table, remember=remember)


def declare_look_up(scope: Scope, source: Template, target: Word, table: Table, *, remember: bool) -> None:
    """Declare the variable `target` names: what a table has for the text of `source`."""
    answers: dict[str, str] = {}

    def compute(request: Request) -> str:
        text = source.evaluate(request)
        if text in answers:
            return answers[text]
        found = table.find(text, request)
        answer = "" if found is None else found.literal
        if answer is None:
            assert found is not None
            return found.evaluate(request)
        if not table.captures and len(text) <= LONGEST:
            if len(answers) >= REMEMBERED:
                answers.clear()
            answers[text] = answer
        return answer

    reads = {name for each in (source, *table.values()) for name in each.names}
    clean = all(each.literal is not None and each.literal.isprintable() for each in table.values())

    def same() -> bool:
        literal = all(each.literal is not None for each in table.values())
        return remember and literal and not table.captures and source.of_lines

    declare(scope.compilation, target, compute, reads, remember=remember, clean=clean, same=same)


def _lone(line: Directive, table: Table) -> str:
    """What was meant by a word alone in a map."""
    word = line.name.text
    if any(value.text == word for value in table.values()):
        return f'"{word}" is a result already given above and stands alone here: take "{word};" out, leave the "}}"'
    return f"a result is missing: {word} result;"


def pair_of(scope: Scope, table: Table, line: Directive, name: str) -> Template | None:
    """Read one line of a table: its value; None for that of `default`, which the table has then."""
    if line.block is not None:
        raise ConfigError('unexpected "{"', line.span, hint=f"a {name} holds pairs: value result;")
    if len(line.args) != 1:
        raise ConfigError(
            f"invalid number of the {name} parameters",
            line.span,
            hint=_lone(line, table) if not line.args else "a pair: value result; with spaces, quote them",
        )
    value = scope.compilation.variables.template(line.args[0].text, line.args[0].span)
    if line.name.text != "default":
        return value
    if table.default is not None:
        raise ConfigError(f"duplicate default {name} parameter", line.span)
    table.default = value
    return None


def _entry(scope: Scope, table: MapTable, line: Directive) -> None:
    value = pair_of(scope, table, line, "map")
    if value is None:
        return
    key = line.name
    if key.text.startswith("~"):
        caseless = key.text.startswith("~*")
        pattern = key._replace(text=key.text[2 if caseless else 1 :])
        table.add_regex(regex(scope, pattern, caseless=caseless), value)
        return
    _add(table, key, value)


def _add(table: MapTable, key: Word, value: Template) -> None:
    text = lower(key.text.removeprefix("\\"))
    try:
        table.add(text, value)
    except KeyError:
        raise ConfigError(f'conflicting parameter "{text}"', key.span, hint="it is there already") from None
    except ValueError:
        raise ConfigError(
            f'invalid hostname or wildcard "{text}"',
            key.span,
            hint="a * may stand for the first or last label only",
        ) from None


inert(
    "map_hash_max_size",
    "map_hash_bucket_size",
    where=HTTP | STREAM,
    most=1,
    reason="tables grow as they are filled",
    nginx=PAGE,
    module="map",
)
