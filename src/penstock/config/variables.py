"""Variables: `$name` in the configuration, compiled once into closures over a request.

A getter takes the request and returns text, or None where nginx says "not found" (logged as `-`, empty elsewhere).
Floors above add their variables to `VARIABLES` and `FAMILIES`; `set`, `map` and the like add theirs to the table of
the configuration being compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from penstock.config.errors import ConfigError, Problems, suggest
from penstock.config.source import Span

Getter: TypeAlias = Callable[[Any], str | None]
Setter: TypeAlias = Callable[[Any, str], None]


@dataclass(frozen=True, slots=True)
class Variable:
    """`late`: its value may still change while the answer is sent or the tunnel is open (bytes, times, status)."""

    name: str
    get: Getter
    set: Setter | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Inline:
    """A getter as an expression over `request`, its `head` and the head's `fields`: for functions made of many.

    `get(request)` in it calls the getter, which carries this as its attribute `inline`. `plain`: it is never None, and
    nothing in it ever needs escaping.
    """

    expression: str
    plain: bool = False


VARIABLES: dict[str, Variable] = {}
FAMILIES: dict[str, Callable[[str], Variable]] = {}


def variable(*names: str, late: bool = False, set: Setter | None = None) -> Callable[[Getter], Getter]:
    """Declare built-in variables: `@variable("remote_addr")` above their getter."""

    def declare(get: Getter) -> Getter:
        for name in names:
            if name in VARIABLES:
                raise AssertionError(f"${name} is declared twice")
            VARIABLES[name] = Variable(name, get, set, late)
        return get

    return declare


def inlined(expression: str, *, plain: bool = False) -> Callable[[Getter], Getter]:
    """Declare what a getter computes as an expression too (`Inline`)."""

    def declare(get: Getter) -> Getter:
        get.inline = Inline(expression, plain)  # type: ignore[attr-defined]
        return get

    return declare


def family(prefix: str, *, late: bool = False) -> Callable[[Callable[[str], Getter]], Callable[[str], Getter]]:
    """Declare a family such as `$http_...`: the decorated function makes the getter of one member."""

    def declare(make: Callable[[str], Getter]) -> Callable[[str], Getter]:
        FAMILIES[prefix] = lambda name: Variable(name, make(name[len(prefix) :]), None, late)
        return make

    return declare


REMEMBERED = 1024

_PART = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+)|)", re.ASCII)


class Template:
    """Text with variables. `literal` is the text itself when it has none, else None.

    `evaluate(request)` gives the text, `""` for what is not found. It is bound when the whole configuration has
    been read, because a `map` may stand below its use.
    """

    __slots__ = ("evaluate", "late", "literal", "names", "pieces", "span", "text")

    def __init__(self, text: str, span: Span | None, pieces: tuple[str | None, ...], names: tuple[str, ...]) -> None:
        self.text = text
        self.span = span
        self.pieces = pieces
        self.names = names
        self.late = False
        self.literal = text if not names else None
        self.evaluate: Callable[[Any], str] = _unbound
        if not names:
            self.evaluate = _constant(text)

    def bind(self, getters: list[Getter], late: bool) -> None:
        self.late = late
        if len(self.pieces) == 1:
            self.evaluate = _single(getters[0])
        else:
            self.evaluate = _joined(self.pieces, getters)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def _unbound(request: Any) -> str:
    raise AssertionError("a template is used before the configuration is complete")


def _constant(text: str) -> Callable[[Any], str]:
    return lambda request: text


def _single(get: Getter) -> Callable[[Any], str]:
    return lambda request: get(request) or ""


def _joined(pieces: tuple[str | None, ...], getters: list[Getter]) -> Callable[[Any], str]:
    """Pieces with None where a variable goes, in order."""
    format_text = "".join("%s" if piece is None else piece.replace("%", "%%") for piece in pieces)
    if len(getters) == 1:
        one = getters[0]
        return lambda request: format_text % (one(request) or "",)
    if len(getters) == 2:
        first, second = getters
        return lambda request: format_text % (first(request) or "", second(request) or "")
    return lambda request: format_text % tuple([get(request) or "" for get in getters])


def split_template(text: str, span: Span | None) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """Cut text into literal pieces and variable names; raises `ConfigError` on a bare `$`."""
    if "$" not in text:
        return (text,), ()
    pieces: list[str | None] = []
    names: list[str] = []
    at = 0
    for match in _PART.finditer(text):
        if match.start() > at:
            pieces.append(text[at : match.start()])
        name = (match.group(1) or match.group(2) or "").lower()
        if not name:
            if text.startswith("${", match.start()):
                raise ConfigError(f'the closing bracket in "{text[match.end() + 1 :]}" variable is missing', span)
            raise ConfigError("invalid variable name", span, hint='nginx knows no literal "$"')
        if name[0].isdigit() and len(name) > 1 and match.group(2):
            name = name[0]
            pieces.append(None)
            names.append(name)
            at = match.start() + 2
            continue
        pieces.append(None)
        names.append(name)
        at = match.end()
    if at < len(text):
        pieces.append(text[at:])
    return tuple(pieces), tuple(names)


class VariableTable:
    """The variables of one configuration: built in, and made by `set`, `map`, `geo`, captures and the like."""

    def __init__(self) -> None:
        self.made: dict[str, Variable] = {}
        self._templates: list[Template] = []
        self._wanted: list[tuple[str, Span | None, Callable[[Variable], None]]] = []
        self._shared: dict[str, Template] = {}
        self._asked: dict[str, Getter] = {}
        self._bound = False

    def template(self, text: str, span: Span | None = None) -> Template:
        """Compile text with variables; raises `ConfigError` for a bad name."""
        known = self._shared.get(text)
        if known is not None:
            return known
        pieces, names = split_template(text, span)
        made = Template(text, span, pieces, names)
        self._shared[text] = made
        if names:
            self._templates.append(made)
            if self._bound:
                self._bind(made)
        return made

    def mentioned(self, prefix: str) -> bool:
        """Whether any text of the configuration, log formats aside, has a variable whose name begins so."""
        return any(name.startswith(prefix) for made in self._templates for name in made.names)

    def want(self, name: str, span: Span | None, take: Callable[[Variable], None]) -> None:
        """Call `take` with the variable once all are known."""
        name = name.lower()
        if self._bound:
            take(self._find(name, span))
        else:
            self._wanted.append((name, span, take))

    def define(self, made: Variable, span: Span | None = None) -> None:
        """Add a variable; raises `ConfigError` where a built-in one can not be changed."""
        if made.name in VARIABLES:
            raise ConfigError(
                f'the duplicate "{made.name}" variable', span, hint="that is a built-in variable; take another name"
            )
        self.made[made.name] = made

    def stored(self, name: str, span: Span | None = None) -> Variable:
        """The variable that `set` or a named capture writes to: a slot of the request by that name."""
        name = name.lower()
        found = VARIABLES.get(name)
        if found is not None:
            if found.set is None:
                raise ConfigError(
                    f'the duplicate "{name}" variable', span, hint="that is a built-in variable; take another name"
                )
            return found
        made = self.made.get(name)
        if made is None:
            made = self.made[name] = Variable(name, _slot(name), _store(name))
        elif made.set is None:
            made = self.made[name] = Variable(name, _slot_or(name, made.get), _store(name), made.late)
        return made

    def look_up(self, name: str) -> Getter | None:
        """The getter of a variable that is asked for by name while requests are served; None for an unknown one."""
        known = self._asked.get(name)
        if known is None:
            try:
                known = self._find(name, None).get
            except ConfigError:
                return None
            if len(self._asked) >= REMEMBERED:
                self._asked.clear()
            self._asked[name] = known
        return known

    def bind(self, problems: Problems) -> None:
        """Give every template its getters. Unknown names become problems, each once per place."""
        self._bound = True
        for made in self._templates:
            try:
                self._bind(made)
            except ConfigError as error:
                problems.add(error)
        for name, span, take in self._wanted:
            try:
                take(self._find(name, span))
            except ConfigError as error:
                problems.add(error)

    def _bind(self, made: Template) -> None:
        found = [self._find(name, made.span) for name in made.names]
        made.bind([each.get for each in found], any(each.late for each in found))

    def _find(self, name: str, span: Span | None) -> Variable:
        found = self.made.get(name) or VARIABLES.get(name)
        if found is not None:
            return found
        if len(name) == 1 and name.isdigit():
            return Variable(name, _capture(int(name)))
        for prefix, make in FAMILIES.items():
            if name.startswith(prefix):
                return make(name)
        close = suggest(name, [*self.made, *VARIABLES])
        raise ConfigError(f'unknown "{name}" variable', span, hint=f"did you mean: ${close}" if close else None)


def _capture(number: int) -> Getter:
    def get(request: Any) -> str | None:
        captures = request.captures
        if captures is None or number > captures.re.groups:
            return None
        found: str | None = captures.group(number)
        return found

    return get


def _slot(name: str) -> Getter:
    return lambda request: request.variables.get(name)


def _slot_or(name: str, compute: Getter) -> Getter:
    def get(request: Any) -> str | None:
        if name in request.variables:
            value: str | None = request.variables[name]
            return value
        return compute(request)

    return get


def _store(name: str) -> Setter:
    def put(request: Any, value: str) -> None:
        request.variables[name] = value

    return put
