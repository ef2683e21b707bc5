"""`location` and `limit_except`, and how a level of the configuration becomes a `Location` of the plan."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import iscoroutinefunction

from penstock.config.errors import ConfigError, duplicate
from penstock.config.key import Key
from penstock.config.kinds import present
from penstock.config.regex.pcre import Regex, compile_pcre
from penstock.config.registry import LIMIT_EXCEPT, LOCATION, SERVER, STREAM_LEVELS, block
from penstock.config.scope import Scope
from penstock.config.settings import KINDS, NOT, Settings
from penstock.config.settings import directive as setting
from penstock.config.tree import Directive, Word
from penstock.config.variables import Template
from penstock.modules.awaited import Awaited
from penstock.plan import phases
from penstock.plan.location import INNER_LOCATIONS, LOCATIONS, OWN_LOCATION, Handler, Handlers, Location, Server
from penstock.plan.match import LocationTree

PAGE = "ngx_http_core_module.html"
REGEXES: Key[list[Regex]] = Key("regexes")
"""Where a compilation keeps all its regular expressions, by `Compilation.shared`."""
METHODS = frozenset(
    "GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK UNLOCK PATCH".split()
)


class LocationSettings(Settings):
    """What belongs to one location alone."""

    internal: bool = setting(
        "internal",
        where=LOCATION,
        takes=present,
        default=False,
        inherit=NOT,
        nginx=PAGE,
    )


LOCATION_SYNTAX = "[ = | ~ | ~* | ^~ ] uri | $variable { ... }"


@block("location", where=SERVER | LOCATION, least=1, most=2, syntax=LOCATION_SYNTAX, nginx=PAGE)
def location(scope: Scope, directive: Directive) -> None:
    """What to do with requests whose path matches."""
    made = _named(scope, directive)
    inner = scope.child(LOCATION, directive)
    inner.data[OWN_LOCATION] = made
    made.scope = inner
    siblings = scope.data.setdefault(LOCATIONS, [])
    for other in siblings:
        if other.kind == made.kind and other.name == made.name and made.kind != "regex":
            if made.kind not in ("named", "predicate"):
                raise ConfigError(f'duplicate location "{made.name}"', directive.span)
            first = f"the first is in {other.span.file}:{other.span.line}" if other.span else None
            scope.compilation.problems.warn(
                f'duplicate location "{made.name}": only the first one is used', directive.name.span, hint=first
            )
            break
    siblings.append(made)
    inner.walk(directive.block or ())


def _named(scope: Scope, directive: Directive) -> Location:
    """The kind and name of a location, checked against the one it stands in."""
    modifier, name = _modifier(directive)
    if modifier in ("~", "~*"):
        made = Location("regex", name.text, directive.span)
        made.regex = regex(scope, name, caseless=modifier == "~*")
    elif modifier == "=":
        made = Location("exact", name.text, directive.span)
    elif name.text.startswith("$"):
        made = Location("predicate", name.text, directive.span)
        made.predicate = _predicate(scope, name)
    elif name.text.startswith("@"):
        made = Location("named", name.text, directive.span)
    else:
        made = Location("prefix", name.text, directive.span)
        made.final = modifier == "^~"
    if made.kind in ("prefix", "exact") and made.name and not made.name.startswith("/"):
        scope.compilation.problems.warn(
            f'location "{made.name}" matches nothing', name.span, hint=f"a path begins with a slash: /{made.name}"
        )
    parent = scope.data.get(OWN_LOCATION)
    if parent is None:
        return made
    if parent.kind == "exact":
        raise ConfigError(
            f'location "{made.name}" cannot be inside the exact location "{parent.name}"', directive.span
        )
    if parent.kind == "named":
        raise ConfigError(
            f'location "{made.name}" cannot be inside the named location "{parent.name}"', directive.span
        )
    if made.kind == "named":
        raise ConfigError(f'named location "{made.name}" can be on the server level only', directive.span)
    if made.kind in ("prefix", "exact") and parent.kind == "prefix" and not made.name.startswith(parent.name):
        raise ConfigError(f'location "{made.name}" is outside location "{parent.name}"', directive.span)
    return made


def _predicate(scope: Scope, name: Word) -> Template:
    """Compile the variable that a predicate location asks; one variable and nothing else, as in nginx 1.31.5."""
    made = scope.compilation.variables.template(name.text, name.span)
    if made.text != f"${name.text[1:]}" or len(made.pieces) != 1 or "{" in name.text:
        raise ConfigError(
            f'location "{name.text}": a predicate location is named by one variable',
            name.span,
            hint="write $name; a map makes one variable of several: map $a$b $name { ... }",
        )
    return made


def _modifier(directive: Directive) -> tuple[str, Word]:
    args = directive.args
    if len(args) == 2:
        if args[0].text not in ("=", "^~", "~", "~*"):
            raise ConfigError(
                f'invalid location modifier "{args[0].text}"', args[0].span, hint="it may be: = ^~ ~ ~*"
            )
        return args[0].text, args[1]
    name = args[0]
    for modifier in ("~*", "^~", "~", "="):
        if name.text.startswith(modifier) and len(name.text) > len(modifier):
            rest = name.text[len(modifier) :]
            return modifier, name._replace(text=rest)
    return "", name


def regex(scope: Scope, word: Word, *, caseless: bool) -> Regex:
    """Compile a regular expression; its named groups become variables."""
    made = compiled(scope, word, caseless=caseless)
    for name in made.names:
        scope.compilation.variables.stored(name, word.span)
    return made


def compiled(scope: Scope, word: Word, *, caseless: bool) -> Regex:
    """Compile a regular expression whose groups nobody asks for."""
    try:
        made = compile_pcre(word.text, caseless=caseless)
    except ValueError as error:
        raise ConfigError(f'invalid regular expression "{word.text}": {error}', word.span) from None
    scope.compilation.shared.setdefault(REGEXES, []).append(made)
    return made


@block("limit_except", where=LOCATION, least=1, most=None, syntax="method ... { ... }", nginx=PAGE)
def limit_except(scope: Scope, directive: Directive) -> None:
    """Other methods than these get the access rules inside."""
    first = scope.data[OWN_LOCATION].limited
    if first is not None and first[1].span is not None:
        raise duplicate("limit_except", directive.span, first[1].span)
    methods = set()
    for argument in directive.args:
        if argument.text.upper() not in METHODS:
            raise ConfigError(f'invalid method "{argument.text}"', argument.span)
        methods.add(argument.text.upper())
    if "GET" in methods:
        methods.add("HEAD")
    inner = scope.child(LIMIT_EXCEPT, directive)
    made = Location("limit_except", scope.data[OWN_LOCATION].name, directive.span)
    made.scope = inner
    inner.data[OWN_LOCATION] = made
    scope.data[OWN_LOCATION].limited = (frozenset(methods), made)
    scope.data.setdefault(INNER_LOCATIONS, []).append(made)
    inner.walk(directive.block or ())


def complete(location: Location, server: Server) -> None:
    """Give a location its settings and the handlers of each phase, and everything below it too."""
    scope = location.scope
    assert scope is not None
    location.update((kind, scope.settings(kind)) for kind in KINDS)
    location.internal = location[LocationSettings].internal
    location.handle(_handlers(location))
    content = location.phases[phases.CONTENT]
    by_path = location.kind in ("prefix", "exact")
    location.auto_redirect = by_path and any(getattr(handler, "auto_redirect", False) for handler, _ in content)
    below = scope.data.get(LOCATIONS) or []
    for inner in below:
        complete(inner, server)
    blocks = scope.data.get(INNER_LOCATIONS)
    location.inner = () if blocks is None else tuple(blocks)
    for inner in location.inner:
        complete(inner, server)
    for inner in below:
        if inner.kind == "named":
            server.named.setdefault(inner.name, inner)
    searched = [inner for inner in below if inner.kind != "named"]
    location.nested = LocationTree(searched) if searched else None


def _handlers(location: Location) -> tuple[Handlers, ...]:
    """The handlers of every phase that the settings ask for. A server of streams has those of modules for streams."""
    found: list[list[tuple[Handler, bool]]] = [[] for _ in range(phases.COUNT)]
    for kind in KINDS:
        if location.kind == "stream" and not kind.levels & STREAM_LEVELS:
            continue
        settings = location[kind]
        for number, name, when in kind.handlers:
            if when(settings):
                handler = getattr(settings, name)
                if getattr(handler, "later", False):
                    found[number].append((Awaited(handler), True))
                else:
                    found[number].append((handler, iscoroutinefunction(handler)))
    found[phases.REWRITE if location.kind == "server" else phases.SERVER_REWRITE].clear()
    return tuple(tuple(handlers) for handlers in found)


def all_locations(roots: Iterable[Location]) -> Iterable[Location]:
    """Return every location of a plan, nested ones and inner blocks too."""
    for root in roots:
        yield root
        scope = root.scope
        if scope is not None:
            for below in (scope.data.get(LOCATIONS), scope.data.get(INNER_LOCATIONS)):
                if below is not None:
                    yield from all_locations(below)
