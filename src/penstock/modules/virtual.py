"""Virtual servers: `server`, `listen`, `server_name` (nginx: ngx_http_core_module)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from penstock.config.addresses import Address, listen_address
from penstock.config.errors import ConfigError
from penstock.config.registry import HTTP, SERVER, block, command
from penstock.config.scope import Scope
from penstock.config.source import Span
from penstock.config.tree import Directive, Word
from penstock.config.values import seconds, size
from penstock.modules.locations import regex
from penstock.plan.location import Listen, Location, Server
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
        """The same, speaking TLS."""
        return replace(self, ssl=True)


@dataclass(frozen=True, slots=True)
class Bound:
    """One address of one `listen` directive."""

    address: Address
    options: ListenOptions
    span: Span


@block("server", where=HTTP, nginx=PAGE)
def server(scope: Scope, directive: Directive) -> None:
    """A virtual server."""
    inner = scope.child(SERVER, directive)
    root = Location("server", "", directive.span)
    root.scope = inner
    inner.data["location"] = None
    made = Server("", directive.span, root)
    inner.data["server"] = made
    inner.data["listens"] = []
    inner.data["names"] = []
    scope.compilation.shared.setdefault("servers", []).append(made)
    inner.walk(directive.block or ())


@command("server_name", where=SERVER, most=None, syntax="name ...", nginx=PAGE)
def server_name(scope: Scope, directive: Directive) -> None:
    """Names this server answers to: exact, `*.example.com`, `www.*`, `.example.com`, `~regex`, `""`."""
    for word in directive.args:
        scope.data["names"].append((word, _name(scope, word)))


def _name(scope: Scope, word: Word) -> object:
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
        raise ConfigError(
            f'invalid server name or wildcard "{name}"', word.span, hint="a * stands for the first or the last label"
        )
    return bare


@command("listen", where=SERVER, most=None, syntax="address[:port] [parameters]", nginx=PAGE)
def listen(scope: Scope, directive: Directive) -> None:
    """An address and port, or a unix socket, to accept connections on."""
    first = directive.args[0]
    try:
        addresses = [each for found in listen_address(first.text) for each in resolved(found)]
    except ValueError as error:
        raise ConfigError(f'{error} in "{first.text}" of the "listen" directive', first.span) from None
    if any(word.text == "quic" for word in directive.args[1:]):
        scope.data["quic"] = directive.span
        what = "HTTP/3 is not spoken, this address is left out"
        scope.compilation.problems.warn(what, directive.span, hint="browsers fall back to TCP by themselves")
        return
    options = ListenOptions()
    for word in directive.args[1:]:
        options = _option(scope, directive, options, word)
    for address in addresses:
        bound = Bound(address, options, directive.span)
        if any(other.address == address for other in scope.data["listens"]):
            raise ConfigError(f"a duplicate listen {address}", directive.span)
        scope.data["listens"].append(bound)


def resolved(address: Address) -> list[Address]:
    """The address itself, or those its name stands for; raises `ValueError`."""
    if address.family != "name":
        return [address]
    from penstock.net.names import lookup

    try:
        found = lookup(address.host)
    except OSError:
        raise ValueError("host not found") from None
    return [Address("inet6" if ":" in text else "inet", text, address.port) for text in found]


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


def _option(scope: Scope, directive: Directive, options: ListenOptions, word: Word) -> ListenOptions:
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
        if not value.lstrip("-").isdigit() or value == "0":
            raise ConfigError(f'invalid {name} "{value}"', word.span)
        return replace(options, given=True, **{name: int(value)})  # type: ignore[arg-type]
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
        idle = int(seconds(parts[0])) if parts[0] else 0
        interval = int(seconds(parts[1])) if len(parts) > 1 and parts[1] else 0
        count = int(parts[2]) if len(parts) > 2 and parts[2] else 0
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
        if not data["listens"] and "quic" in data:
            problems.error("a server that listens for HTTP/3 only", data["quic"], hint="add: listen 443 ssl;")
        if not data["listens"]:
            data["listens"] = [Bound(item, ListenOptions(), each.span) for item in listen_address("80")]  # type: ignore[arg-type]
        if not data["names"]:
            data["names"] = [(None, "")]
        each.name = _display_name(data["names"])
        for bound in data["listens"]:
            key = bound.address
            known = made.get(key)
            if known is None:
                known = made[key] = Listen(sockaddr(key), bound.options, bound.span)
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


def _display_name(names: list[tuple[Word | None, object]]) -> str:
    word, name = names[0]
    if isinstance(name, str):
        return name[1:] if name.startswith(".") else name
    assert word is not None
    return word.text


def _names(listen: Listen, problems: object) -> None:
    assert listen.default is not None
    table = listen.names = ServerNames(listen.default)
    for each in listen.servers:
        for word, name in each.root.scope.data["names"]:  # type: ignore[union-attr]
            if not isinstance(name, str):
                table.add_regex(name, each)
            elif not table.add(name, each) and word is not None:
                problems.warn(  # type: ignore[attr-defined]
                    f'conflicting server name "{name}" on {_shown(listen)}, ignored', word.span
                )


def sockaddr(address: Address) -> tuple[str, int] | str:
    """The form sockets want: host and port, or a path."""
    return address.host if address.family == "unix" else (address.host, address.port)


def _shown(listen: Listen) -> str:
    address = listen.address
    if isinstance(address, str):
        return f"unix:{address}"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"
