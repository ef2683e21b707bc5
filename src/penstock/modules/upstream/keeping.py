"""Connections to the servers of a group that wait for a request (nginx: ngx_http_upstream_module)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock.config.errors import ConfigError
from penstock.config.registry import UPSTREAM, command
from penstock.config.scope import Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import number, seconds
from penstock.modules.upstream.upstream import DRAFT, PAGE

MODULE = "upstream"
MOST_SPARES = 1024


@command("keepalive", where=UPSTREAM, most=2, syntax="connections [local]", nginx=PAGE)
def keepalive(scope: Scope, directive: Directive) -> None:
    """How many idle connections each worker keeps; 0 for none. `local`: each location has its own."""
    word = directive.args[0]
    local = len(directive.args) == 2
    if local and directive.args[1].text != "local":
        raise ConfigError(f'invalid parameter "{directive.args[1].text}"', directive.args[1].span)
    _keep(scope, directive, most=_converted(directive, word, number), local=local, written=True)


@command("keepalive_requests", where=UPSTREAM, syntax="number", nginx=PAGE)
def keepalive_requests(scope: Scope, directive: Directive) -> None:
    """After how many requests a kept connection is closed."""
    _keep(scope, directive, requests=_converted(directive, directive.args[0], number))


@command("keepalive_time", where=UPSTREAM, syntax="time", nginx=PAGE)
def keepalive_time(scope: Scope, directive: Directive) -> None:
    """How old a connection may be and still be kept."""
    _keep(scope, directive, time=_converted(directive, directive.args[0], seconds))


@command("keepalive_timeout", where=UPSTREAM, syntax="timeout", nginx=PAGE)
def keepalive_timeout(scope: Scope, directive: Directive) -> None:
    """How long an idle connection is kept."""
    _keep(scope, directive, timeout=_converted(directive, directive.args[0], seconds))


@command("preconnect", where=UPSTREAM, most=2, syntax="number [timeout=time]")
def preconnect(scope: Scope, directive: Directive) -> None:
    """How many connections to each server are open before a WebSocket handshake needs one."""
    draft = scope.data[DRAFT]
    if draft.preconnect is not None:
        raise ConfigError('"preconnect" directive is duplicate', directive.span)
    word = directive.args[0]
    most = _converted(directive, word, number)
    if not 0 < most <= MOST_SPARES:
        raise ConfigError(f'invalid value "{word.text}" in "preconnect" directive: 1 to {MOST_SPARES}', word.span)
    from penstock.upstream.peers.spares import Preconnect

    draft.preconnect = Preconnect(most)
    for other in directive.args[1:]:
        name, _, text = other.text.partition("=")
        if name != "timeout":
            raise ConfigError(f'invalid parameter "{other.text}"', other.span, hint="it may be: timeout=10s")
        life = _converted(directive, Word(text, other.span, False), seconds)
        if not life:
            raise ConfigError('"timeout" of "preconnect" is 0', other.span, hint="to have none, leave preconnect out")
        draft.preconnect = Preconnect(most, life)


def _keep(scope: Scope, directive: Directive, **values: Any) -> None:
    draft = scope.data[DRAFT]
    name = directive.name.text
    if name in draft.given:
        raise ConfigError(f'"{name}" directive is duplicate', directive.span)
    draft.given.add(name)
    draft.keepalive = replace(draft.keepalive, **values)


def _converted(directive: Directive, word: Word, convert: Callable[[str], Any]) -> Any:
    try:
        return convert(word.text)
    except ValueError as error:
        raise ConfigError(
            f'invalid value "{word.text}" in "{directive.name.text}" directive', word.span, hint=str(error)
        ) from None
