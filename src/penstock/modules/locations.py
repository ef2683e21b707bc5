"""`location` and `limit_except`, and how a level of the configuration becomes a `Location` of the plan."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import iscoroutinefunction

from penstock.config.errors import ConfigError
from penstock.config.kinds import custom
from penstock.config.pcre import Regex, compile_pcre
from penstock.config.registry import LIMIT_EXCEPT, LOCATION, SERVER, block
from penstock.config.scope import Scope
from penstock.config.settings import KINDS, NOT, Settings
from penstock.config.settings import directive as setting
from penstock.config.tree import Directive, Word
from penstock.plan import phases
from penstock.plan.location import Handler, Handlers, Location, Server
from penstock.plan.match import LocationTree

PAGE = "ngx_http_core_module.html"
METHODS = frozenset(
    "GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK UNLOCK PATCH".split()
)


class LocationSettings(Settings):
    """What belongs to one location alone."""

    internal: bool = setting(
        "internal",
        where=LOCATION,
        takes=custom(lambda call: True, least=0, most=0),
        default=False,
        inherit=NOT,
        nginx=PAGE,
    )


@block("location", where=SERVER | LOCATION, least=1, most=2, syntax="[ = | ~ | ~* | ^~ ] uri { ... }", nginx=PAGE)
def location(scope: Scope, directive: Directive) -> None:
    """What to do with requests whose path matches."""
    made = _named(scope, directive)
    inner = scope.child(LOCATION, directive)
    inner.data["location"] = made
    made.scope = inner
    siblings: list[Location] = scope.data.setdefault("locations", [])
    for other in siblings:
        if other.kind == made.kind and other.name == made.name and made.kind != "regex":
            raise ConfigError(f'duplicate location "{made.name}"', directive.span)
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
    elif name.text.startswith("@"):
        made = Location("named", name.text, directive.span)
    else:
        made = Location("prefix", name.text, directive.span)
        made.final = modifier == "^~"
    parent: Location | None = scope.data.get("location")
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
    """A compiled regular expression; its named groups become variables."""
    try:
        made = compile_pcre(word.text, caseless=caseless)
    except ValueError as error:
        raise ConfigError(f'invalid regular expression "{word.text}": {error}', word.span) from None
    for name in made.names:
        scope.compilation.variables.stored(name, word.span)
    return made


@block("limit_except", where=LOCATION, least=1, most=None, syntax="method ... { ... }", nginx=PAGE)
def limit_except(scope: Scope, directive: Directive) -> None:
    """Other methods than these get the access rules inside."""
    methods = set()
    for argument in directive.args:
        if argument.text.upper() not in METHODS:
            raise ConfigError(f'invalid method "{argument.text}"', argument.span)
        methods.add(argument.text.upper())
    if "GET" in methods:
        methods.add("HEAD")
    inner = scope.child(LIMIT_EXCEPT, directive)
    made = Location("limit_except", scope.data["location"].name, directive.span)
    made.scope = inner
    inner.data["location"] = made
    scope.data["location"].limited = (frozenset(methods), made)
    scope.data.setdefault("inner_locations", []).append(made)
    inner.walk(directive.block or ())


def complete(location: Location, server: Server) -> None:
    """Give a location its settings and the handlers of each phase, and everything below it too."""
    scope = location.scope
    assert scope is not None
    location.update((kind, scope.settings(kind)) for kind in KINDS)
    location.internal = location[LocationSettings].internal
    location.handle(_handlers(location))
    content = location.phases[phases.CONTENT]
    location.auto_redirect = any(getattr(handler, "auto_redirect", False) for handler, _ in content)
    below: list[Location] = scope.data.get("locations", [])
    for inner in below:
        complete(inner, server)
    location.inner = tuple(scope.data.get("inner_locations", ()))
    for inner in location.inner:
        complete(inner, server)
    for inner in below:
        if inner.kind == "named":
            server.named[inner.name] = inner
    searched = [inner for inner in below if inner.kind != "named"]
    location.nested = LocationTree(searched) if searched else None


def _handlers(location: Location) -> tuple[Handlers, ...]:
    """The handlers of every phase that the settings ask for."""
    found: list[list[tuple[Handler, bool]]] = [[] for _ in range(phases.COUNT)]
    for kind in KINDS:
        settings = location[kind]
        for number, name, when in kind.handlers:
            if when(settings):
                handler = getattr(settings, name)
                found[number].append((handler, iscoroutinefunction(handler)))
    found[phases.REWRITE if location.kind == "server" else phases.SERVER_REWRITE].clear()
    return tuple(tuple(handlers) for handlers in found)


def all_locations(roots: Iterable[Location]) -> Iterable[Location]:
    """Every location of a plan, nested ones and inner blocks too."""
    for root in roots:
        yield root
        scope = root.scope
        if scope is not None:
            yield from all_locations(scope.data.get("locations", ()))
            yield from all_locations(scope.data.get("inner_locations", ()))
