"""Groups that all workers see alike: `zone`; and names followed at run time: `resolver`, `upstream_names_valid`.

nginx: ngx_http_upstream_zone_module. In a zone, `max_conns`, `least_conn`, failures and weights count over all workers.
"""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.registry import HTTP, STREAM, STREAM_UPSTREAM, UPSTREAM, command
from penstock.config.scope import Call, Scope
from penstock.config.tree import Directive
from penstock.config.values import seconds
from penstock.config.values import size as to_size
from penstock.modules.core.resolver import SYNTAX, parse_resolver
from penstock.modules.upstream.upstream import DRAFT, PAGE, upstreams_of

ANY = UPSTREAM | STREAM_UPSTREAM
SMALLEST = 8 * 4096


@command("zone", where=ANY, most=2, syntax="name [size]", nginx=PAGE)
def zone(scope: Scope, directive: Directive) -> None:
    """Shared memory for the state of the group's servers. Groups may share one; one of them gives its size."""
    draft = scope.data[DRAFT]
    name = directive.args[0]
    if not name.text:
        raise ConfigError('invalid zone name ""', name.span)
    size = 0
    if len(directive.args) > 1:
        word = directive.args[1]
        try:
            size = to_size(word.text)
        except ValueError as error:
            raise ConfigError(f'invalid zone size "{word.text}"', word.span, hint=str(error)) from None
        if size < SMALLEST:
            raise ConfigError(f'zone "{name.text}" is too small', word.span, hint="it takes at least 32k")
    zones = upstreams_of(scope.compilation).zones
    known = zones.get(name.text, 0)
    if size and known and size != known:
        raise ConfigError(
            f'the size {size} of shared memory zone "{name.text}" conflicts with already declared size {known}',
            directive.span,
        )
    zones[name.text] = size or known
    draft.zone = name


@command("resolver", where=ANY, most=None, syntax=SYNTAX, nginx=PAGE)
def resolver(scope: Scope, directive: Directive) -> None:
    """Name servers for the servers of this group that have `resolve`."""
    draft = scope.data[DRAFT]
    if draft.resolver is not None:
        raise ConfigError('"resolver" directive is duplicate', directive.span)
    draft.resolver = parse_resolver(Call(scope, directive))


@command("resolver_timeout", where=ANY, syntax="time", nginx=PAGE)
def resolver_timeout(scope: Scope, directive: Directive) -> None:
    """How long an answer of a name server is waited for."""
    draft = scope.data[DRAFT]
    if draft.resolver_timeout is not None:
        raise ConfigError('"resolver_timeout" directive is duplicate', directive.span)
    draft.resolver_timeout = _time(directive)


@command("upstream_names_valid", where=HTTP | STREAM, syntax="time | off")
def upstream_names_valid(scope: Scope, directive: Directive) -> None:
    """How often host names in `proxy_pass` and `server` that were looked up at the start are looked up again.

    `off`: never, as in nginx. A name that can not be looked up keeps its addresses. Penstock's own.
    """
    upstreams_of(scope.compilation).names_valid = None if directive.args[0].text == "off" else _time(directive)


def _time(directive: Directive) -> float:
    word = directive.args[0]
    try:
        return seconds(word.text)
    except ValueError as error:
        raise ConfigError(
            f'invalid value "{word.text}" in "{directive.name.text}" directive', word.span, hint=str(error)
        ) from None
