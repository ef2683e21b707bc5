"""Where spans go: `otel_exporter` and who says to be the sender (nginx: ngx_otel_module).

With a path (`http://collector:4318/v1/traces`) it is OTLP over HTTP. Spans are written by the library
`opentelemetry-proto`, an extra, which is imported where `otel_exporter` stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import penstock
from penstock.config.addresses import Address
from penstock.config.errors import ConfigError, duplicate
from penstock.config.key import Key
from penstock.config.registry import HTTP, block, command
from penstock.config.scope import Compilation, Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import decimal, seconds
from penstock.modules.tracing.keys import EXPORTER
from penstock.net.dial import Address as Peer
from penstock.net.names import lookup
from penstock.net.tls.client import CannotMake, Context, verifying_context
from penstock.observe.tracing.collector import CollectorPlace
from penstock.observe.tracing.exporter import Exporter
from penstock.shared.hints import HINTS
from penstock.upstream.exchange.target import Target, parse_target

PAGE = "https://nginx.org/en/docs/ngx_otel_module.html"
MODULE = "otel"
MOST_SPANS = 1 << 20
SYNTAX = (
    "{ endpoint URL; [trusted_certificate file;] [header name value;] [interval time;] [batch_size number;] "
    "[batch_count number;] }"
)

_LINES: Key[dict[str, Any]] = Key("otel exporter")
_RESOURCE: Key[dict[str, str]] = Key("otel resource")
_NAMED: Key[Directive] = Key("otel service name")


@block("otel_exporter", where=HTTP, syntax=SYNTAX, nginx=PAGE)
def otel_exporter(scope: Scope, directive: Directive) -> None:
    """Where spans go, how often, and how many of them wait at most: `batch_count` batches of `batch_size`. Needs the
    extra `penstock[otel]`."""
    shared = scope.compilation.shared
    if _LINES in shared:
        raise duplicate("otel_exporter", directive.span, shared[_LINES]["span"])
    given: dict[str, Any] = {"span": directive.span, "headers": []}
    shared[_LINES] = given
    for line in directive.block or ():
        with scope.compilation.collecting():
            _line(scope, given, line)
    if "endpoint" not in given:
        raise ConfigError(
            '"otel_exporter" requires "endpoint"', directive.span, hint="endpoint http://localhost:4318/v1/traces;"
        )
    if given["endpoint"] is None:
        return
    place = _place(given)
    try:
        import penstock.observe.tracing.otlp  # noqa: F401  for `exporter_of`
    except ImportError:
        scope.compilation.problems.warn(
            "otel_exporter needs the library opentelemetry-proto, which is not here: no spans are sent",
            directive.span,
            hint="pip install 'penstock[otel]'",
        )
        return
    given["place"] = place


def _count(text: str) -> int:
    found = decimal(text)
    if not found or found > MOST_SPANS:
        raise ValueError(f"a number from 1 to {MOST_SPANS}")
    return found


def _time(text: str) -> float:
    found = seconds(text)
    if not found:
        raise ValueError("a time is wanted, such as 5s")
    return found


_NUMBERS: dict[str, Callable[[str], Any]] = {"interval": _time, "batch_size": _count, "batch_count": _count}


def _line(scope: Scope, given: dict[str, Any], line: Directive) -> None:
    name, args = line.name.text, line.args
    wanted = 2 if name == "header" else 1
    if name not in ("endpoint", "trusted_certificate", "header", *_NUMBERS):
        raise ConfigError(f'unknown directive "{name}"', line.name.span, hint=f"in otel_exporter: {SYNTAX}")
    if len(args) != wanted:
        raise ConfigError(f'invalid number of arguments in "{name}" directive', line.span)
    if name == "header":
        given["headers"].append(_header(args[0], args[1]))
        return
    if name in given:
        raise ConfigError(f'"{name}" directive is duplicate', line.span)
    if name == "endpoint":
        given[name] = None  # a mistake in it is told once
        given[name] = (_endpoint(args[0]), args[0])
    elif name == "trusted_certificate":
        given[name] = (scope.compilation.conf_path(args[0].text), args[0])
    else:
        try:
            given[name] = _NUMBERS[name](args[0].text)
        except ValueError as error:
            raise ConfigError(f'"{name}" directive invalid value', args[0].span, hint=str(error)) from None


def _header(name: Word, value: Word) -> tuple[str, str]:
    token = name.text.replace("-", "").replace("_", "")
    if not (token.isascii() and token.isalnum()) or not value.text.isprintable():
        raise ConfigError(f'"{name.text}" can not be a header', name.span, hint="a name of letters, and one line")
    return name.text, value.text


def _endpoint(word: Word) -> Target:
    text = word.text if "://" in word.text else f"http://{word.text}"
    try:
        target = parse_target(text)
    except ValueError as error:
        raise ConfigError(str(error), word.span, hint="write for example: http://localhost:4318/v1/traces") from None
    if not target.uri:
        raise ConfigError(
            f'endpoint "{word.text}" has no path: OTLP over gRPC is not spoken here',
            word.span,
            hint=f"OTLP over HTTP is, which collectors take at port 4318: {target.scheme}{target.name}:4318/v1/traces",
        )
    return target


@command("otel_service_name", where=HTTP, syntax="name", nginx=PAGE)
def otel_service_name(scope: Scope, directive: Directive) -> None:
    """The attribute `service.name` of who sends spans."""
    shared = scope.compilation.shared
    if _NAMED in shared:
        raise duplicate("otel_service_name", directive.span, shared[_NAMED].span)
    shared[_NAMED] = directive


@command("otel_resource_attr", where=HTTP, least=2, most=2, syntax="name value", nginx=PAGE)
def otel_resource_attr(scope: Scope, directive: Directive) -> None:
    """Another attribute of who sends spans."""
    name, value = directive.args
    scope.compilation.shared.setdefault(_RESOURCE, {})[name.text] = value.text


def is_given(compilation: Compilation) -> bool:
    """Return whether there is a block, good or not."""
    return _LINES in compilation.shared


def exporter_of(compilation: Compilation) -> Exporter | None:
    """Return the exporter of a configuration that has been read, made when it is first asked for; None without one."""
    shared = compilation.shared
    if EXPORTER not in shared:
        given = shared.get(_LINES)
        if given is None or "place" not in given:
            return None
        from penstock.observe.tracing.otlp import SpanWriter

        attributes = shared.setdefault(_RESOURCE, {})
        resource = attributes.copy()
        named = shared.get(_NAMED)
        if named is not None:
            resource["service.name"] = named.args[0].text
        resource.setdefault("service.name", "unknown_service:penstock")
        shared[EXPORTER] = Exporter(
            given["place"],
            SpanWriter(resource, penstock.__version__),
            f"penstock/{penstock.__version__}",
            shared.get(HINTS),
            interval=given.get("interval", 5.0),
            batch_size=given.get("batch_size", 512),
            batch_count=given.get("batch_count", 4),
        )
    return shared[EXPORTER]


def _place(given: dict[str, Any]) -> CollectorPlace:
    target, word = given["endpoint"]
    return CollectorPlace(
        url=word.text,
        name=target.name,
        path=target.uri,
        host=target.host_header,
        addresses=tuple(_addresses(target.address, word)),
        context=_context(given) if target.secure else None,
        headers=tuple(given["headers"]),
    )


def _addresses(address: Address, word: Word) -> list[Peer]:
    if address.family == "unix":
        return [address.host]
    hosts = [address.host]
    if address.family == "name":
        try:
            hosts = lookup(address.host)
        except OSError:
            raise ConfigError(f'host not found in endpoint "{word.text}"', word.span) from None
    return [(host, address.port) for host in hosts]


def _context(given: dict[str, Any]) -> Context:
    trusted, word = given.get("trusted_certificate", (None, given["endpoint"][1]))
    try:
        return verifying_context(trusted)
    except CannotMake as error:
        raise ConfigError(f"cannot load what TLS to the collector needs: {error}", word.span) from None
