"""Groups of servers: `upstream` and `server` in it (nginx: ngx_http_upstream_module)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from penstock.config.addresses import Address, peer_address
from penstock.config.errors import ConfigError
from penstock.config.registry import HTTP, REGISTRY, UPSTREAM, block, command, inert, refused
from penstock.config.scope import Compilation, Scope
from penstock.config.source import Span
from penstock.config.tree import Directive, Word
from penstock.config.values import number, seconds, whole_seconds
from penstock.net.dial import Address as SocketAddress
from penstock.net.names import lookup
from penstock.upstream.balancers import Balancer, LeastConn, Selection
from penstock.upstream.chance import Random, RandomTwo
from penstock.upstream.group import Group
from penstock.upstream.hashing import HashBalancer, IpHash
from penstock.upstream.keepalive import KeepAlive
from penstock.upstream.peers import Peer, ServerOptions
from penstock.upstream.target import Target

PAGE = "ngx_http_upstream_module.html"
PLAIN = ServerOptions()


@dataclass(slots=True)
class Upstreams:
    """Every group of a configuration by its name in lower case, and those that addresses stand for."""

    groups: dict[str, Group] = field(default_factory=dict)
    implicit: dict[tuple[str, int], Group] = field(default_factory=dict)

    def find(self, name: str) -> Group | None:
        return self.groups.get(name.lower())

    def for_target(self, target: Target, span: Span | None) -> Group:
        """The group a `proxy_pass` means, looked up while the configuration is read. Raises `ConfigError`."""
        if not target.unix:
            group = self.find(target.name)
            if group is not None:
                if target.port:
                    raise ConfigError(f'upstream "{target.name}" may not have port {target.port}', span)
                return group
        try:
            address = target.address
        except ValueError as error:
            raise ConfigError(f'{error} in upstream "{target.name}"', span) from None
        key = (target.name, address.port)
        known = self.implicit.get(key)
        if known is None:
            known = self.implicit[key] = literal_group(target, self._resolved(address, target, span), span)
        return known

    def _resolved(self, address: Address, target: Target, span: Span | None) -> list[Address]:
        if address.family != "name":
            return [address]
        try:
            found = lookup(address.host)
        except (OSError, UnicodeError):
            raise ConfigError(
                f'host not found in upstream "{address.host}"', span, hint=self._meant(address.host)
            ) from None
        return [Address("inet6" if ":" in text else "inet", text, address.port) for text in found]

    def _meant(self, name: str) -> str:
        """Which group may have been meant by a name that is neither a group's nor a host's."""
        close = get_close_matches(name.lower(), self.groups, 1, 0.6)
        group = self.groups[close[0]] if close else None
        if group is None and len(self.groups) == 1:
            group = next(iter(self.groups.values()))
        if group is not None:
            where = f" of {group.span.file}:{group.span.line}" if group.span is not None else ""
            return f'no upstream block has that name; did you mean the upstream "{group.name}"{where}?'
        return "no upstream block has that name, and no host"


def literal_group(
    target: Target, addresses: list[Address], span: Span | None = None, options: ServerOptions = PLAIN
) -> Group:
    """The group that stands for an address, or for the addresses of a host."""
    peers = [Peer(socket_address(each), str(each), target.name, options) for each in addresses]
    return Group(target.name, peers, span=span, implicit=True)


def upstreams_of(compilation: Compilation) -> Upstreams:
    """The groups of the configuration being compiled."""
    found: Upstreams = compilation.shared.setdefault("upstreams", Upstreams())
    return found


def socket_address(address: Address) -> SocketAddress:
    """The form sockets want."""
    return address.host if address.family == "unix" else (address.host, address.port)


@dataclass(slots=True)
class Draft:
    """A group while its block is read."""

    peers: list[Peer] = field(default_factory=list)
    servers: int = 0
    balancer: Balancer = Selection
    method: str = ""
    backups: list[Span] = field(default_factory=list)
    keepalive: KeepAlive = field(default_factory=KeepAlive)
    given: set[str] = field(default_factory=set)


@block("upstream", where=HTTP, least=1, most=1, syntax="name { ... }", nginx=PAGE)
def upstream(scope: Scope, directive: Directive) -> None:
    """A group of servers that `proxy_pass http://name` and its kin refer to."""
    name = directive.args[0].text
    groups = upstreams_of(scope.compilation).groups
    if name.lower() in groups:
        raise ConfigError(f'duplicate upstream "{name}"', directive.span)
    inner = scope.child(UPSTREAM, directive)
    draft = inner.data["upstream"] = Draft()
    inner.walk(directive.block or ())
    group = Group(
        name,
        draft.peers,
        balancer=draft.balancer,
        keepalive=draft.keepalive if draft.keepalive.most else None,
        span=directive.span,
    )
    groups[name.lower()] = group
    if draft.backups and draft.method not in ("", "least_conn"):
        raise ConfigError('balancing method does not support parameter "backup"', draft.backups[0])
    if not draft.servers and all(REGISTRY.find(each.text, UPSTREAM) for each in directive.block or ()):
        raise ConfigError("no servers are inside upstream", directive.span, hint="add: server host:port;")
    if draft.peers and not group.primary.peers:
        raise ConfigError(
            f'no servers in upstream "{name}"', directive.span, hint="every server is a backup; one must not be"
        )


@command("server", where=UPSTREAM, most=None, syntax="address [parameters]", nginx=PAGE)
def server(scope: Scope, directive: Directive) -> None:
    """A server of the group: `host[:port]` or `unix:/path`."""
    draft: Draft = scope.data["upstream"]
    draft.servers += 1
    word = directive.args[0]
    options = ServerOptions()
    for each in directive.args[1:]:
        options = _parameter(options, each)
        if each.text == "backup":
            draft.backups.append(each.span)
    try:
        address = peer_address(word.text)
    except ValueError as error:
        raise ConfigError(f'{error} in upstream "{word.text}"', word.span, hint=_hint(word.text)) from None
    addresses = [address]
    if address.family == "name":
        try:
            found = lookup(address.host)
        except (OSError, UnicodeError):
            raise ConfigError(
                f'host not found in upstream "{word.text}"', word.span, hint="the name has no address, here and now"
            ) from None
        addresses = [Address("inet6" if ":" in text else "inet", text, address.port) for text in found]
    draft.peers += [Peer(socket_address(each), str(each), word.text, options) for each in addresses]


def _hint(text: str) -> str | None:
    if "://" in text:
        return "a server is an address; the scheme belongs to proxy_pass"
    if "/" in text:
        return "a server has no path; it belongs to proxy_pass"
    return None


def _parameter(options: ServerOptions, word: Word) -> ServerOptions:
    text = word.text
    name, given, value = text.partition("=")
    flags: dict[str, dict[str, Any]] = {"backup": {"backup": True}, "down": {"down": True}, "drain": {"drain": True}}
    if text in flags:
        return replace(options, **flags[text])
    if not given:
        if text == "resolve":
            raise ConfigError(
                'the "resolve" parameter is not supported yet',
                word.span,
                hint="names are looked up when the configuration is loaded; leave it out, and reload after a change",
            )
        raise ConfigError(f'invalid parameter "{text}"', word.span)
    convert = _PARAMETERS.get(name)
    if convert is not None:
        try:
            return replace(options, **{name: convert(value)})
        except ValueError:
            raise ConfigError(f'invalid parameter "{text}"', word.span) from None
    if name == "route":
        if not value or len(value) > 32:
            raise ConfigError("route is empty" if not value else "route is longer than 32", word.span)
        return replace(options, route=value)
    if name == "service":
        raise ConfigError(
            'the "service" parameter is not supported yet', word.span, hint="write host:port in place of an SRV record"
        )
    raise ConfigError(f'invalid parameter "{text}"', word.span)


def _weight(text: str) -> int:
    found = number(text)
    if not found:
        raise ValueError(text)
    return found


_PARAMETERS: dict[str, Callable[[str], Any]] = {
    "weight": _weight,
    "max_conns": number,
    "max_fails": number,
    "fail_timeout": whole_seconds,
    "slow_start": whole_seconds,
}


@command("least_conn", where=UPSTREAM, least=0, most=0, nginx=PAGE)
def least_conn(scope: Scope, directive: Directive) -> None:
    """Requests and tunnels go to the server that carries the fewest, for its weight."""
    _balance(scope, directive, LeastConn)


@command("ip_hash", where=UPSTREAM, least=0, most=0, nginx=PAGE)
def ip_hash(scope: Scope, directive: Directive) -> None:
    """Requests of one client, told by its address, go to one server."""
    _balance(scope, directive, IpHash)


@command("hash", where=UPSTREAM, most=2, syntax="key [consistent]", nginx=PAGE)
def hash_(scope: Scope, directive: Directive) -> None:
    """Requests with one key go to one server. `consistent`: few keys move when a server comes or goes."""
    word = directive.args[0]
    consistent = len(directive.args) == 2
    if consistent and directive.args[1].text != "consistent":
        raise ConfigError(f'invalid parameter "{directive.args[1].text}"', directive.args[1].span)
    key = scope.compilation.variables.template(word.text, word.span)
    _balance(scope, directive, HashBalancer(key, consistent=consistent))


@command("random", where=UPSTREAM, least=0, most=2, syntax="[two [least_conn]]", nginx=PAGE)
def random(scope: Scope, directive: Directive) -> None:
    """A server by chance. `two`: the less loaded of two."""
    words = [word.text for word in directive.args]
    if words not in ([], ["two"], ["two", "least_conn"]):
        last = directive.args[-1]
        raise ConfigError(f'invalid parameter "{last.text}"', last.span, hint="random [two [least_conn]];")
    _balance(scope, directive, RandomTwo if words else Random)


def _balance(scope: Scope, directive: Directive, balancer: Balancer) -> None:
    draft: Draft = scope.data["upstream"]
    if draft.method:
        scope.compilation.problems.warn("load balancing method redefined", directive.span)
    draft.method = directive.name.text
    draft.balancer = balancer


@command("keepalive", where=UPSTREAM, most=2, syntax="connections [local]", nginx=PAGE)
def keepalive(scope: Scope, directive: Directive) -> None:
    """How many idle connections each worker keeps; 0 for none. `local`: each location has its own."""
    word = directive.args[0]
    local = len(directive.args) == 2
    if local and directive.args[1].text != "local":
        raise ConfigError(f'invalid parameter "{directive.args[1].text}"', directive.args[1].span)
    _keep(scope, directive, most=_converted(directive, word, number), local=local)


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


def _keep(scope: Scope, directive: Directive, **values: Any) -> None:
    draft: Draft = scope.data["upstream"]
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


inert(
    "zone",
    where=UPSTREAM,
    most=2,
    reason="each worker counts failures and connections for itself",
    nginx=PAGE,
    module="upstream",
)
refused(
    "sticky",
    "sticky_cookie_insert",
    where=UPSTREAM,
    advice="sessions can not be kept to a server yet",
    module="upstream",
    nginx=PAGE,
)
refused("queue", where=UPSTREAM, advice="requests do not wait for a peer; see max_conns", module="upstream", nginx=PAGE)
