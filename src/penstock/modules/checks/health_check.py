"""Asking the servers of a group how they are: `health_check` (nginx: ngx_http_upstream_hc_module).

The location says how they are spoken to: TLS, `proxy_set_header`, times. `type=websocket` and `type=tcp` are Penstock's
own. What comes of it is in `upstream/checks/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from penstock.config.errors import ConfigError
from penstock.config.kinds import custom
from penstock.config.registry import LOCATION, SERVER
from penstock.config.scope import Call, Scope
from penstock.config.settings import NOT, Settings, directives
from penstock.config.tree import Word
from penstock.config.values import decimal, seconds
from penstock.modules.checks.match import MATCHES
from penstock.modules.checks.requests import GrpcRequests, HttpRequests
from penstock.modules.gateways.grpc import Grpc
from penstock.modules.proxy.proxy import Proxy
from penstock.modules.upstream.upstream import upstreams_of
from penstock.plan.location import SERVERS, Server
from penstock.upstream.checks.check import Check, Kind, Prepare
from penstock.upstream.checks.expected import DEFAULT, Expected

PAGE = "ngx_http_upstream_hc_module.html"
MODULE = "upstream_hc"
SYNTAX = (
    "[interval=time] [jitter=time] [fails=number] [passes=number] [uri=uri] [port=number] [match=name] "
    "[mandatory [persistent]] [keepalive_time=time] [type=http | websocket [ping] [protocol=name,...] | "
    "grpc [grpc_service=name] [grpc_status=code] | tcp]"
)


_MOST_STATUS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class CheckLine:
    """A `health_check` as written."""

    values: dict[str, Any]
    match: Word | None


def _time(text: str) -> float:
    found = seconds(text)
    if not found:
        raise ValueError("a time is wanted, such as 5s")
    return found


def _count(text: str) -> int:
    found = decimal(text)
    if not found:
        raise ValueError("a number from 1 up")
    return found


def _port(text: str) -> int:
    found = decimal(text)
    if not found or found > 65535:
        raise ValueError("a port is 1 to 65535")
    return found


def _uri(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or " " in text:
        raise ValueError("a path that begins with a slash")
    return text


def _kind(text: str) -> Kind:
    if text in ("http", "websocket", "grpc", "tcp"):
        return text  # type: ignore[return-value]
    raise ValueError("it may be: http, websocket, grpc, tcp")


def _grpc_status(text: str) -> int:
    found = decimal(text)
    if not found or found > _MOST_STATUS:
        raise ValueError("a status of gRPC that is not 0, such as 12")
    return found


def _protocols(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    if not all(each.isascii() and each.replace("-", "").replace(".", "").replace("_", "").isalnum() for each in found):
        raise ValueError("names of subprotocols, with commas between them")
    return found


_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "interval": ("interval", _time),
    "jitter": ("jitter", seconds),
    "fails": ("fails", _count),
    "passes": ("passes", _count),
    "uri": ("uri", _uri),
    "port": ("port", _port),
    "keepalive_time": ("keepalive", seconds),
    "type": ("kind", _kind),
    "protocol": ("protocols", _protocols),
    "grpc_service": ("service", str),
    "grpc_status": ("grpc_status", _grpc_status),
}


def _check(call: Call) -> CheckLine:
    values: dict[str, Any] = {}
    match: Word | None = None
    for word in call.args:
        name, given, text = word.text.partition("=")
        if word.text in ("mandatory", "ping"):
            values[word.text] = True
        elif word.text == "persistent":
            values["persistent"] = True
        elif name == "match" and given:
            match = word._replace(text=text)
        elif name in _VALUES and given:
            attribute, convert = _VALUES[name]
            try:
                values[attribute] = convert(text)
            except ValueError as error:
                raise call.fail(f'invalid parameter "{word.text}"', word, hint=str(error)) from None
        else:
            raise call.fail(f'invalid parameter "{word.text}"', word, hint=SYNTAX)
    if values.pop("persistent", False) and "mandatory" not in values:
        raise call.fail('"persistent" requires "mandatory"', call.args[-1])
    kind = values.get("kind", "http")
    for name in ("ping", "protocols"):
        if name in values and kind != "websocket":
            raise call.fail(f'"{name.removesuffix("s")}" is for type=websocket')
    for name, written in (("service", "grpc_service"), ("grpc_status", "grpc_status")):
        if name in values and kind != "grpc":
            raise call.fail(f'"{written}" is for type=grpc')
    if kind == "grpc" and "uri" in values:
        raise call.fail('"uri" is not for type=grpc, which asks by a method of its own')
    if kind != "http" and (match is not None or "keepalive" in values):
        raise call.fail('"match" and "keepalive_time" are for type=http')
    if kind == "tcp" and "uri" in values:
        raise call.fail('"uri" is not for type=tcp, which asks for nothing')
    return CheckLine(values, match)


class HealthChecks(Settings):
    """Servers of the group that this location passes to are asked, whether or not there are requests."""

    lines: tuple[CheckLine, ...] = directives(
        "health_check",
        where=LOCATION,
        takes=custom(_check, least=0, most=None, syntax=SYNTAX),
        inherit=NOT,
        nginx=PAGE,
        doc="One that fails gets no request and no tunnel until it passes again. One worker asks for all; a check that "
        "has not ended after `interval` has failed. `type=websocket` does a handshake, with `ping` also a ping, and "
        "closes with 1000; `type=grpc` calls the health service, in a location with `grpc_pass`; `type=tcp` only "
        "connects. What is known lasts over reloads, with or without `persistent`.",
    )

    def finish(self, scope: Scope) -> None:
        """Compile the checks of this location's upstream. Raises `ConfigError` where `proxy_pass` leads to none."""
        if not self.lines:
            return
        span = self.origin("lines")
        proxy, grpc = scope.settings(Proxy), scope.settings(Grpc)
        passing = proxy if grpc.target is None else grpc
        there = None if passing.target is None else passing.targets.fixed
        if there is None:
            raise ConfigError(
                '"health_check" needs a "proxy_pass" or "grpc_pass" without variables in its location',
                span,
                hint="it checks the servers of the upstream that this location passes to",
            )
        group = there.group
        if group.implicit:
            raise ConfigError(
                f'"health_check" needs an upstream, and "{there.target.name}" is none',
                span,
                hint=f"write: upstream NAME {{ server HOST:PORT; }} and {passing.prefix}_pass ...NAME;",
            )
        server = _server_of(scope)
        limit = min(passing.connect_timeout, passing.read_timeout, passing.send_timeout)
        checks = upstreams_of(scope.compilation).checks.setdefault(group.name.lower(), [])
        for line in self.lines:
            values = dict(line.values)
            uri = values.pop("uri", "/")
            prepare: Prepare = HttpRequests(proxy, server, uri) if passing is proxy else GrpcRequests(grpc, server)
            check = Check(prepare, **values)
            self._fit(check, passing, there.secure)
            expected = DEFAULT if line.match is None else _matching(scope, line.match)
            checks.append(replace(check, limit=min(check.interval, limit), expected=expected))

    def _fit(self, check: Check, passing: Proxy | Grpc, secure: bool) -> None:
        """Refuse a check that does not speak what the location speaks."""
        wrong = ""
        if isinstance(passing, Grpc):
            if check.kind not in ("grpc", "tcp"):
                wrong = f'"health_check type={check.kind}" speaks HTTP/1.1, and "grpc_pass" does not'
        elif check.kind == "grpc":
            wrong = '"health_check type=grpc" needs a "grpc_pass" in its location'
        elif check.kind != "tcp" and passing.http_version == 20 and not secure:
            wrong = '"health_check" speaks HTTP/1.1, and this location speaks HTTP/2 without TLS to its servers'
        if wrong:
            hint = "ask only whether they are there: health_check type=tcp;"
            raise ConfigError(wrong, self.origin("lines"), hint=hint)


def _matching(scope: Scope, word: Word) -> Expected:
    found = scope.compilation.shared.setdefault(MATCHES, {}).get(word.text)
    if found is None:
        raise ConfigError(f'match "{word.text}" is not defined', word.span, hint="match NAME { status 200; }")
    return found[0]


def _server_of(scope: Scope) -> Server:
    outer = scope.enclosing(SERVER)
    return next(each for each in scope.compilation.shared.setdefault(SERVERS, []) if each.root.scope is outer)
