"""Sessions that stay with a server: `sticky cookie`, `sticky route`, `sticky learn`.

nginx: ngx_http_upstream_sticky_module.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from penstock.config.errors import ConfigError
from penstock.config.registry import UPSTREAM, command
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, phase
from penstock.config.tree import Directive, Word
from penstock.config.values import seconds, size, whole_seconds
from penstock.config.variables import Template
from penstock.http.dates import cookie_date
from penstock.http.request import Answer, Request
from penstock.modules.core.line_values import one_line_of
from penstock.modules.fleet.membership import fleet_of
from penstock.modules.fleet.sessions import FleetSessions
from penstock.modules.upstream.upstream import DRAFT, UPSTREAMS, upstreams_of
from penstock.plan import phases
from penstock.shared.zone import Zone
from penstock.upstream.peers.shared_sessions import SharedSessions, SharedSticky
from penstock.upstream.peers.sticky import CONTEXT, Sticky, StickySessions

MODULE = "upstream_sticky"

PAGE = "ngx_http_upstream_module.html"
SYNTAX = (
    "cookie name [attribute ...] | route $variable ... | learn create=$variable lookup=$variable zone=name:size "
    "[timeout=time] [header] [sync]"
)
SMALLEST = 8 * 4096
SAME_SITE = ("strict", "lax", "none")
FOREVER = "; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"


@command("sticky", where=UPSTREAM, least=2, most=None, syntax=SYNTAX, nginx=PAGE)
def sticky(scope: Scope, directive: Directive) -> None:
    """Requests of a session go to the server that had its first, as long as that may be used. With `sync` all machines
    of the `fleet` know what one has learned."""
    draft = scope.data[DRAFT]
    if draft.sticky is not None:
        raise ConfigError('"sticky" directive is duplicate', directive.span)
    kind = directive.args[0]
    make = {"cookie": _cookie, "route": _route, "learn": _learn}.get(kind.text)
    if make is None:
        raise ConfigError(f'unknown parameter "{kind.text}"', kind.span, hint="cookie, route or learn")
    draft.sticky = make(scope, directive, directive.args[1:])
    upstreams_of(scope.compilation).sticky = True


def _variable(scope: Scope, word: Word, text: str) -> Template:
    return scope.compilation.variables.template(text, word.span)


def _route(scope: Scope, directive: Directive, words: tuple[Word, ...]) -> Sticky:
    for word in words:
        if not word.text.startswith("$"):
            raise ConfigError(f'invalid variable name "{word.text}"', word.span)
    return Sticky([_variable(scope, word, word.text) for word in words])


@dataclass(slots=True)
class Cookie:
    """The attributes of the cookie; `expires` is text for `max`, and seconds otherwise."""

    name: str
    path: str = ""
    domain: Template | None = None
    expires: int | str | None = None
    same_site: Template | None = None
    flags: str = ""

    def render(self, request: Request, server: str) -> str:
        """Write the value of Set-Cookie."""
        parts = [f"{self.name}={server}"]
        expires = self.expires
        if isinstance(expires, str):
            parts.append(expires)
        elif expires is not None:
            parts.append(f"; expires={cookie_date(int(time.time()) + expires)}; max-age={expires}")
        domain = "" if self.domain is None else self.domain.evaluate(request)
        if domain:
            parts.append(f"; domain={domain}")
        parts.append(self.flags)
        same_site = "" if self.same_site is None else self.same_site.evaluate(request)
        if same_site:
            parts.append(f"; samesite={same_site if same_site.lower() in SAME_SITE else 'strict'}")
        if self.path:
            parts.append(f"; path={self.path}")
        return "".join(parts)


def _cookie(scope: Scope, directive: Directive, words: tuple[Word, ...]) -> Sticky:
    name = words[0]
    if not name.text:
        raise ConfigError('"sticky" directive empty cookie name', name.span)
    made = Cookie(name.text)
    given: set[str] = set()
    for word in words[1:]:
        key, equals, value = word.text.partition("=")
        if key in given:
            raise ConfigError(f'"sticky" directive parameter "{key}" is duplicate', word.span)
        given.add(key)
        if not equals and key in ("secure", "httponly"):
            continue
        if equals and not value and key in ("domain", "path"):
            raise ConfigError(f'"sticky" directive no value for "{key}"', word.span)
        if equals and key == "domain":
            made.domain = one_line_of(Call(scope, directive), value, word.span, "sticky cookie")
        elif equals and key == "path":
            made.path = value
        elif equals and key == "expires":
            made.expires = FOREVER if value == "max" else _converted(word, value, whole_seconds)
        elif equals and key == "samesite":
            made.same_site = _variable(scope, word, value)
            if made.same_site.literal is not None and value.lower() not in SAME_SITE:
                raise ConfigError(
                    '"sticky" directive invalid "samesite" parameter value', word.span, hint="strict, lax or none"
                )
        else:
            raise ConfigError(f'unknown parameter "{word.text}"', word.span)
    made.flags = ("; httponly" if "httponly" in given else "") + ("; secure" if "secure" in given else "")
    return Sticky([_variable(scope, name, f"$cookie_{name.text}")], cookie=made.render)


def _learn(scope: Scope, directive: Directive, words: tuple[Word, ...]) -> Sticky:
    lookup: list[Template] = []
    create: list[Template] = []
    zone: tuple[str, int] | None = None
    timeout: float | None = None
    after_header = False
    sync: Word | None = None
    for word in words:
        key, _, value = word.text.partition("=")
        if key in ("lookup", "create"):
            if not value.startswith("$"):
                raise ConfigError(f'"sticky" directive missing variable in the "{key}" parameter', word.span)
            (lookup if key == "lookup" else create).append(_variable(scope, word, value))
        elif key == "zone":
            if zone is not None:
                raise ConfigError('"sticky" directive duplicate zone', word.span)
            zone = _name_and_size(word, value)
        elif key == "timeout":
            if timeout is not None:
                raise ConfigError('"sticky" directive duplicate timeout', word.span)
            timeout = _converted(word, value, seconds)
            if not timeout:
                raise ConfigError('"sticky" directive invalid timeout', word.span)
        elif word.text == "header":
            after_header = True
        elif word.text == "sync" and sync is None:
            sync = word
        else:
            raise ConfigError(f'unknown parameter "{word.text}"', word.span)
    for what, has in (("lookup", lookup), ("create", create), ("zone", zone)):
        if not has:
            raise ConfigError(f'"sticky" directive "{what}" parameter is not specified', directive.span)
    assert zone is not None
    memory, life = _memory(scope, directive, *zone), 600.0 if timeout is None else timeout
    if sync is None:
        return Sticky(lookup, create=create, sessions=StickySessions(memory, life), after_header=after_header)
    beyond = _beyond(scope, zone[0], sync)
    shared = SharedSessions(memory, life, beyond)
    beyond.known = shared
    return SharedSticky(lookup, create=create, sessions=shared, after_header=after_header)


def _beyond(scope: Scope, name: str, sync: Word) -> FleetSessions:
    made = FleetSessions(name)

    def join() -> None:
        made.fleet = fleet_of(scope, sync)
        made.fleet.sessions.append(made)

    scope.compilation.defer(join)
    return made


def _converted(word: Word, text: str, convert: Callable[[str], float | int]) -> int:
    try:
        return convert(text)  # type: ignore[return-value]
    except ValueError as error:
        key = word.text.partition("=")[0]
        raise ConfigError(f'"sticky" directive invalid "{key}" parameter value', word.span, hint=str(error)) from None


def _name_and_size(word: Word, value: str) -> tuple[str, int]:
    name, colon, text = value.partition(":")
    if not colon:
        raise ConfigError('"sticky" directive zone size is not specified', word.span, hint="write: zone=name:1m")
    if not name:
        raise ConfigError('"sticky" directive zone name is not specified', word.span)
    try:
        found = size(text)
    except ValueError as error:
        raise ConfigError('"sticky" directive invalid zone size', word.span, hint=str(error)) from None
    if found < SMALLEST:
        raise ConfigError('"sticky" directive zone is too small', word.span, hint="it takes at least 32k")
    return name, found


def _memory(scope: Scope, directive: Directive, name: str, wanted: int) -> Zone:
    """The zone of that name, the one in force if it is as large: sessions live through a reload."""
    upstreams = upstreams_of(scope.compilation)
    if name in upstreams.sessions:
        raise ConfigError(f'sticky zone "{name}" is already used in another upstream', directive.span)
    before = scope.compilation.previous.get(UPSTREAMS)
    zone = None if before is None else before.sessions.get(name)
    if zone is None or zone.size != wanted:
        zone = Zone(name, wanted)
    upstreams.sessions[name] = zone
    return zone


class StickyAnswers(Settings):
    """What sessions add to answers: the cookie that names the server, and the moment to learn."""

    used = False

    def finish(self, scope: Scope) -> None:
        self.used = upstreams_of(scope.compilation).sticky

    @phase(phases.HEADERS, when=lambda self: self.used)
    def mark(self, request: Request, answer: Answer) -> None:
        """Set the cookie; learn where the session is, if that is to be done at once."""
        contexts = request.contexts
        chosen = None if contexts is None else contexts.get(CONTEXT)
        for sticky, choice in (chosen or {}).items():
            if sticky.cookie is not None and choice.server:
                answer.headers.append(("Set-Cookie", sticky.cookie(request, choice.server)))
            if sticky.after_header and request.upstream_head is not None:
                sticky.learn(request, choice, request.connection.service.timers.now)
