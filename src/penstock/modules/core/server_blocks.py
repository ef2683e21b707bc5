"""Virtual servers: `server`, `listen`, `server_name` (nginx: ngx_http_core_module)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from penstock.config.addresses import Address, address_text, bracket_hint, listen_address
from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.regex.regex import Regex
from penstock.config.registry import HTTP, SERVER, STREAM_SERVER, Context, block, command
from penstock.config.scope import Scope
from penstock.config.source import Span
from penstock.config.tree import Directive, Word
from penstock.config.values import decimal, number, size, whole_seconds
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.locations import regex
from penstock.plan.location import OWN_SERVER, SERVERS, UDP, Listen, Location, Server
from penstock.plan.match import ServerNames

PAGE = "ngx_http_core_module.html"


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Parameters of `listen`. `keepalive` is None for the system's choice, False for off, or (idle, interval, count)
    with zeroes for the system's values. `given` says that socket parameters were written here."""

    default_server: bool = False
    ssl: bool = False
    http2: bool = False
    proxy_protocol: bool = False
    udp: bool = False
    reuseport: bool = False
    deferred: bool = False
    ipv6only: bool = True
    backlog: int = 511
    fastopen: int | None = None
    rcvbuf: int | None = None
    sndbuf: int | None = None
    keepalive: tuple[int, int, int] | bool | None = None
    given: bool = False

    def with_ssl(self) -> ListenOptions:
        """Return the same, speaking TLS."""
        return replace(self, ssl=True)


@dataclass(frozen=True, slots=True)
class Bound:
    """One address of one `listen` directive."""

    address: Address
    options: ListenOptions
    span: Span


LISTENS: Key[list[Bound]] = Key("listens")
"""The addresses of a server, at its level."""

QUIC: Key[Span] = Key("quic")
"""Where a server asks for HTTP/3."""

NAMES: Key[list[tuple[Word | None, str | Regex]]] = Key("names")
"""The names of a server, at its level: as written, and as they are looked for."""


@block("server", where=HTTP, nginx=PAGE)
def server(scope: Scope, directive: Directive) -> None:
    """A virtual server."""
    inner = begin_server(scope, directive, SERVER, "server")
    inner.walk(directive.block or ())
    scope.compilation.defer(lambda: inner.settings(HttpCore).check_buffers())


def begin_server(scope: Scope, directive: Directive, context: Context, kind: str) -> Scope:
    """Make the level of a server, and the server; what is in its block is not read yet."""
    inner = scope.child(context, directive)
    root = Location(kind, "", directive.span)
    root.scope = inner
    made = Server("", directive.span, root)
    inner.data[OWN_SERVER] = made
    inner.data[LISTENS] = []
    inner.data[NAMES] = []
    scope.compilation.shared.setdefault(SERVERS, []).append(made)
    return inner


@command("server_name", where=SERVER | STREAM_SERVER, most=None, syntax="name ...", nginx=PAGE)
def server_name(scope: Scope, directive: Directive) -> None:
    """Names this server answers to: exact, `*.example.com`, `www.*`, `.example.com`, `~regex`, `""`."""
    for word in directive.args:
        scope.data[NAMES].append((word, _name(scope, word)))


def _name(scope: Scope, word: Word) -> str | Regex:
    name = word.text
    if name.startswith("~"):
        if len(name) == 1:
            raise ConfigError(f'empty regex in server name "{name}"', word.span)
        return regex(scope, word._replace(text=name[1:]), caseless=any(char.isupper() for char in name))
    if "/" in name:
        scope.compilation.problems.warn(f'server name "{name}" has suspicious symbols', word.span)
    if name == "$hostname":
        import os

        return os.uname().nodename.lower()
    bare = name.lower()
    stars = bare.count("*")
    wildcard = bare.startswith("*.") or bare.endswith(".*")
    if stars > 1 or (stars == 1 and (not wildcard or len(bare) < 3)) or bare == ".":
        hint = "a * stands for the first or the last label"
        if stars and bare.strip("*."):
            pattern = "".join(".*" if char == "*" else f"\\{char}" if char in _SPECIAL else char for char in bare)
            hint += f"; as a regular expression: ~^{pattern}$"
        raise ConfigError(
            f'invalid server name or wildcard "{name}"', word.span, hint=hint
        )
    return bare


@command("listen", where=SERVER, most=None, syntax="address[:port] [parameters]", nginx=PAGE)
def listen(scope: Scope, directive: Directive) -> None:
    """An address and port, or a unix socket, to accept connections on."""
    addresses = addresses_of(directive)
    if any(word.text == "quic" for word in directive.args[1:]):
        scope.data[QUIC] = directive.span
        what = "HTTP/3 is not spoken, this address is left out"
        scope.compilation.problems.warn(what, directive.span, hint="browsers fall back to TCP by themselves")
        return
    options = ListenOptions()
    for word in directive.args[1:]:
        options = option(scope, directive, options, word)
    bind_to(scope, directive, addresses, options)


def addresses_of(directive: Directive) -> list[Address]:
    """Return the addresses that a `listen` names. Raises `ConfigError`."""
    first = directive.args[0]
    try:
        return [each for found in listen_address(first.text) for each in resolved(found)]
    except ValueError as error:
        hint = bracket_hint(first.text)
        raise ConfigError(f'{error} in "{first.text}" of the "listen" directive', first.span, hint=hint) from None


def bind_to(scope: Scope, directive: Directive, addresses: list[Address], options: ListenOptions) -> None:
    """Let the server of a level listen there. Raises `ConfigError`."""
    for address in addresses:
        bound = Bound(address, options, directive.span)
        if any(other.address == address and other.options.udp == options.udp for other in scope.data[LISTENS]):
            raise ConfigError(f"a duplicate listen {address}", directive.span)
        scope.data[LISTENS].append(bound)


def resolved(address: Address) -> list[Address]:
    """Return the address itself, or those that its name stands for; raises `ValueError`."""
    if address.family != "name":
        return [address]
    from penstock.net.names import lookup

    try:
        found = lookup(address.host)
    except OSError:
        raise ValueError("host not found") from None
    return [Address("inet6" if ":" in text else "inet", text, address.port) for text in found]


_SPECIAL = frozenset(".^$+?()[]{}|\\")

_FLAGS = {
    "default_server": {"default_server": True},
    "default": {"default_server": True},
    "ssl": {"ssl": True},
    "proxy_protocol": {"proxy_protocol": True},
    "reuseport": {"reuseport": True, "given": True},
    "deferred": {"deferred": True, "given": True},
    "bind": {"given": True},
    "http2": {"http2": True},
    "multipath": {"given": True},
}


def option(scope: Scope, directive: Directive, options: ListenOptions, word: Word) -> ListenOptions:
    """Return the options with what one parameter of `listen` adds. Raises `ConfigError`."""
    found = _FLAGS.get(word.text)
    if found is not None:
        if word.text == "http2":
            scope.compilation.problems.warn(
                'the "listen ... http2" directive is deprecated, use the "http2" directive instead', directive.span
            )
        return replace(options, **found)
    name, given, value = word.text.partition("=")
    if not given:
        raise _invalid(word)
    if name == "so_keepalive":
        return replace(options, keepalive=_keepalive(word, value), given=True)
    if name == "ipv6only":
        if value not in ("on", "off"):
            raise ConfigError(f'invalid ipv6only flags "{value}"', word.span)
        return replace(options, ipv6only=value == "on", given=True)
    if name in ("backlog", "fastopen"):
        length = -1 if value == "-1" else decimal(value)
        if not length or length > 0x7FFFFFFF:
            raise ConfigError(f'invalid {name} "{value}"', word.span)
        return replace(options, given=True, **{name: length})  # type: ignore[arg-type]
    if name in ("rcvbuf", "sndbuf"):
        try:
            return replace(options, given=True, **{name: size(value)})  # type: ignore[arg-type]
        except ValueError:
            raise ConfigError(f'invalid {name} "{value}"', word.span) from None
    if name in ("setfib", "accept_filter"):
        raise ConfigError(
            f'{name} is not supported on this platform, ignored', word.span, level="warn"
        )
    raise _invalid(word)


def _invalid(word: Word) -> ConfigError:
    hint = None
    if word.text == "spdy":
        hint = "SPDY is gone; use http2 on;"
    return ConfigError(f'invalid parameter "{word.text}"', word.span, hint=hint)


def _keepalive(word: Word, value: str) -> tuple[int, int, int] | bool:
    if value in ("on", "off"):
        return value == "on"
    parts = value.split(":")
    try:
        if len(parts) > 3 or not any(parts):
            raise ValueError(value)
        idle = whole_seconds(parts[0]) if parts[0] else 0
        interval = whole_seconds(parts[1]) if len(parts) > 1 and parts[1] else 0
        count = number(parts[2]) if len(parts) > 2 and parts[2] else 0
    except ValueError:
        raise ConfigError(
            f'invalid so_keepalive value: "{value}"', word.span, hint="on, off, or idle:interval:count"
        ) from None
    return idle, interval, count


def addresses(scope: Scope, servers: list[Server]) -> list[Listen]:
    """Gather the servers by address. The first server of an address is its default unless one says so."""
    problems = scope.compilation.problems
    made: dict[object, Listen] = {}
    for each in servers:
        data = each.root.scope.data  # type: ignore[union-attr]
        if not data[LISTENS] and QUIC in data:
            problems.error("a server that listens for HTTP/3 only", data[QUIC], hint="add: listen 443 ssl;")
        if not data[LISTENS]:
            assert each.span is not None, "a server stands somewhere"
            data[LISTENS] = [Bound(item, ListenOptions(), each.span) for item in listen_address("80")]
        if not data[NAMES]:
            data[NAMES].append((None, ""))
        each.name = _display_name(data[NAMES])
        for bound in data[LISTENS]:
            key = bound.address, bound.options.udp
            known = made.get(key)
            if known is None:
                known = made[key] = Listen(sockaddr(*key), bound.options, bound.span)
                known.default = each
            else:
                _agree(known, bound)
                if bound.options.default_server:
                    if known.options.default_server:
                        problems.error(f"a duplicate default server for {bound.address}", bound.span)
                    known.default = each
                    known.options = replace(known.options, default_server=True)
            known.servers.append(each)
    for known in made.values():
        _names(known, problems)
        if any(each.allow_connect for each in known.servers):
            for each in known.servers:
                each.meets_connect = True
    return list(made.values())


def _agree(known: Listen, bound: Bound) -> None:
    """Options written at any of the directives of an address hold for it."""
    options = known.options
    merged = bound.options if bound.options.given and not options.given else options
    known.options = replace(
        merged,
        default_server=options.default_server,
        ssl=options.ssl or bound.options.ssl,
        http2=options.http2 or bound.options.http2,
        proxy_protocol=options.proxy_protocol or bound.options.proxy_protocol,
        given=options.given or bound.options.given,
    )


def _display_name(names: list[tuple[Word | None, str | Regex]]) -> str:
    word, name = names[0]
    if isinstance(name, str):
        return name[1:] if name.startswith(".") else name
    assert word is not None
    return word.text


def _names(listen: Listen, problems: object) -> None:
    assert listen.default is not None
    table = listen.names = ServerNames(listen.default)
    for each in listen.servers:
        for word, name in each.root.scope.data[NAMES]:  # type: ignore[union-attr]
            if not isinstance(name, str):
                table.add_regex(name, each)
            elif not table.add(name, each):
                problems.warn(  # type: ignore[attr-defined]
                    f'conflicting server name "{name}" on {address_text(listen.address)}, ignored',
                    each.span if word is None else word.span,
                )


def sockaddr(address: Address, udp: bool = False) -> tuple[str, int] | tuple[str, int, str] | str:
    """Return the form sockets want: host and port, or a path.

    Behind those of UDP stands "udp", so that the same ones of TCP are another address."""
    if address.family == "unix":
        return address.host
    return (address.host, address.port, UDP) if udp else (address.host, address.port)
