"""Variables: `$name` in the configuration, compiled once into closures over a request.

A getter takes the request and returns text, or None where nginx says "not found" (logged as `-`, empty elsewhere).
Floors above add their variables to a vocabulary, HTTP's (`VARIABLES` and `FAMILIES`) or that of streams; `set`, `map`
and the like add theirs to the table of what is being compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from penstock.config.errors import ConfigError, Problems, suggest
from penstock.config.source import Span
from penstock.config.vocabulary import HTTP_WORDS, Vocabulary
from penstock.config.vocabulary import Getter as Getter
from penstock.config.vocabulary import Setter as Setter
from penstock.config.vocabulary import SomeRequest as SomeRequest
from penstock.config.vocabulary import Variable as Variable


@dataclass(frozen=True, slots=True)
class Inline:
    """A getter as an expression over `request`, its `head` and the head's `fields`: for functions made of many.

    `get(request)` in it calls the getter, which carries this as its attribute `inline`; so does a template that is this
    variable and nothing else. `plain`: it is never None, and nothing in it ever needs escaping. `recurs`: its values
    come again and again, as those of most headers do.
    """

    expression: str
    plain: bool = False
    recurs: bool = False


VARIABLES = HTTP_WORDS.variables
FAMILIES = HTTP_WORDS.families
variable, family, absent = HTTP_WORDS.variable, HTTP_WORDS.family, HTTP_WORDS.absent


def inlined(expression: str, *, plain: bool = False, recurs: bool = False) -> Callable[[Getter], Getter]:
    """Declare what a getter computes as an expression too (`Inline`)."""

    def declare(get: Getter) -> Getter:
        get.inline = Inline(expression, plain, recurs)  # type: ignore[attr-defined]
        return get

    return declare


def of_lines(asked: Callable[[], bool]) -> Callable[[Getter], Getter]:
    """Declare that requests with the same header lines (`RequestHead.like`) have the same value of a getter.

    `asked` tells whether it is so, once the configuration is complete."""

    def declare(get: Getter) -> Getter:
        get.of_lines = asked  # type: ignore[attr-defined]
        return get

    return declare


REMEMBERED = 1024

# $name, ${name}, or a dollar sign that begins neither (ngx_http_script_compile).
_PART = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+)|)", re.ASCII)


class Template:
    """A text with variables. `literal` is the text itself when it has none, else None.

    `evaluate(request)` gives the text, `""` for what is not found. It is bound when the whole configuration has
    been read, because a `map` may stand below its use.
    """

    __slots__ = ("_getters", "evaluate", "late", "literal", "names", "pieces", "span", "text")

    def __init__(self, text: str, span: Span | None, pieces: tuple[str | None, ...], names: tuple[str, ...]) -> None:
        self.text = text
        self.span = span
        self.pieces = pieces
        self.names = names
        self.late = False
        self._getters: list[Getter] = []
        self.literal = text if not names else None
        self.evaluate: Callable[[SomeRequest], str] = _unbound
        if not names:
            self.evaluate = _constant(text)

    def bind(self, found: list[Variable]) -> None:
        """Bind the template to the variables of these names."""
        self.late = any(each.late for each in found)
        self._getters = getters = [each.get for each in found]
        if len(self.pieces) == 1:
            self.evaluate = _single(getters[0])
        else:
            self.evaluate = _joined(self.pieces, getters)

    @property
    def of_lines(self) -> bool:
        """Return whether requests with the same header lines all have the same text."""
        return all(hasattr(get, "of_lines") and get.of_lines() for get in self._getters)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


class Line(Template):
    """Text with variables for one line of a head: `mend(request, text)` has what must not stand there taken out."""

    __slots__ = ("_mend",)

    def __init__(
        self,
        text: str,
        span: Span | None,
        pieces: tuple[str | None, ...],
        names: tuple[str, ...],
        mend: Callable[[SomeRequest, str], str],
    ) -> None:
        super().__init__(text, span, pieces, names)
        self._mend = mend

    def bind(self, found: list[Variable]) -> None:
        """Compile it for these variables, and mend the values of those that may hold line breaks."""
        super().bind(found)
        if not all(each.clean for each in found):
            self.evaluate = _mended(self.evaluate, self._mend)


def _mended(
    evaluate: Callable[[SomeRequest], str], mend: Callable[[SomeRequest, str], str]
) -> Callable[[SomeRequest], str]:
    def line(request: SomeRequest) -> str:
        text = evaluate(request)
        return text if text.isprintable() else mend(request, text)

    return line


def _unbound(request: SomeRequest) -> str:
    raise AssertionError("a template is used before the configuration is complete")


def _constant(text: str) -> Callable[[SomeRequest], str]:
    return lambda request: text


def _single(get: Getter) -> Callable[[SomeRequest], str]:
    def single(request: SomeRequest) -> str:
        return get(request) or ""

    inline = getattr(get, "inline", None)
    if inline is not None:
        single.inline = inline  # type: ignore[attr-defined]
    return single


def _joined(pieces: tuple[str | None, ...], getters: list[Getter]) -> Callable[[SomeRequest], str]:
    """Return pieces with None where a variable goes, in order."""
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
    """The variables of one configuration: built in (`words`), and made by `set`, `map`, `geo`, captures and the like.
    """

    def __init__(self, words: Vocabulary = HTTP_WORDS) -> None:
        self.words = words
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
        made = Template(text, span, *self._split(text, span))
        self._shared[text] = made
        return self._noted(made)

    def line(self, text: str, span: Span | None, mend: Callable[[SomeRequest, str], str]) -> Template:
        """Compile text that must stay within one line; raises `ConfigError` for a bad name."""
        return self._noted(Line(text, span, *self._split(text, span), mend))

    def _split(self, text: str, span: Span | None) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
        pieces, names = split_template(text, span)
        for name in names:
            self._expect(name)
        return pieces, names

    def _noted(self, made: Template) -> Template:
        if made.names:
            self._templates.append(made)
            if self._bound:
                self._bind(made)
        return made

    def _expect(self, name: str) -> None:
        """Have what declares a variable; one of the configuration's own is of no other's."""
        if name not in self.made:
            self.words.expect(name)

    def mentioned(self, prefix: str) -> bool:
        """Return whether any text of the configuration, log formats aside, has a variable whose name begins so."""
        return any(name.startswith(prefix) for made in self._templates for name in made.names)

    def asks_for(self, name: str) -> bool:
        """Return whether anything asks for that variable, log formats too."""
        wanted = any(each == name for each, _, _ in self._wanted)
        return wanted or any(name in made.names for made in self._templates)

    def want(self, name: str, span: Span | None, take: Callable[[Variable], None]) -> None:
        """Call `take` with the variable once all are known."""
        name = name.lower()
        self._expect(name)
        if self._bound:
            take(self._find(name, span))
        else:
            self._wanted.append((name, span, take))

    def define(self, made: Variable, span: Span | None = None) -> None:
        """Add a variable; raises `ConfigError` where a built-in one can not be changed."""
        self._expect(made.name)
        own = self.words.variables.get(made.name)
        if own is not None:
            if not own.changeable:
                raise _taken(made.name, span)
            made = replace(made, set=own.set)
        self.made[made.name] = made

    def stored(self, name: str, span: Span | None = None) -> Variable:
        """Return the variable that `set` or a named capture writes to: a slot of the request by that name."""
        name = name.lower()
        made = self.made.get(name)
        self._expect(name)
        own = self.words.variables.get(name)
        if own is not None and not own.changeable:
            raise _taken(name, span)
        if made is None and own is not None:
            if own.set is not None:
                return own
            made = self.made[name] = Variable(name, _slot_or(name, own.get), _store(name), own.late)
        elif made is None:
            made = self.made[name] = Variable(name, _slot(name), _store(name))
        elif made.set is None:
            made = self.made[name] = Variable(name, _slot_or(name, made.get), _store(name), made.late)
        return made

    def look_up(self, name: str) -> Getter | None:
        """Return the getter of a variable that is asked for by name while requests are served; None for an unknown one.
        """
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
        missed: set[str] = set()
        for made in self._templates:
            try:
                for each in self._bind(made):
                    _miss(each, made.span, missed, problems)
            except ConfigError as error:
                problems.add(error)
        for name, span, take in self._wanted:
            try:
                found = self._find(name, span)
                _miss(found, span, missed, problems)
                take(found)
            except ConfigError as error:
                problems.add(error)

    def _bind(self, made: Template) -> list[Variable]:
        found = [self._find(name, made.span) for name in made.names]
        made.bind(found)
        return found

    def known(self, name: str) -> Variable | None:
        """Return the variable of that very name, made or built in."""
        return self.made.get(name) or self.words.variables.get(name)

    def _find(self, name: str, span: Span | None) -> Variable:
        found = self.known(name)
        if found is not None:
            return found
        if len(name) == 1 and name.isdigit():
            return Variable(name, _capture(int(name)))
        found = self.words.of_family(name)
        if found is not None:
            return found
        close = suggest(name, [*self.made, *self.words.variables])
        raise ConfigError(f'unknown "{name}" variable', span, hint=f"did you mean: ${close}" if close else None)


def _taken(name: str, span: Span | None) -> ConfigError:
    return ConfigError(f'the duplicate "{name}" variable', span, hint="that is a built-in variable; take another name")


def _miss(found: Variable, span: Span | None, missed: set[str], problems: Problems) -> None:
    """Warn, once for each reason, that a variable is always empty."""
    if found.absent and found.absent not in missed:
        missed.add(found.absent)
        problems.warn(f'"${found.name}" is always empty: {found.absent}', span)


def _capture(number: int) -> Getter:
    def get(request: SomeRequest) -> str | None:
        captures = request.captures
        if captures is None or number > captures.re.groups:
            return None
        found: str | None = captures.group(number)
        return found

    return get


def _slot(name: str) -> Getter:
    return lambda request: request.variables.get(name)


def _slot_or(name: str, compute: Getter) -> Getter:
    def get(request: SomeRequest) -> str | None:
        if name in request.variables:
            value: str | None = request.variables[name]
            return value
        return compute(request)

    return get


def _store(name: str) -> Setter:
    def put(request: SomeRequest, value: str) -> None:
        request.variables[name] = value

    return put
