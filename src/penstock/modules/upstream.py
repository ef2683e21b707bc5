"""Groups of servers: `upstream`, and the connections it keeps (nginx: ngx_http_upstream_module).

`server` is in `upstream_server.py`, how one is chosen in `upstream_balancing.py`, `zone` in `upstream_zone.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from penstock.config.addresses import Address
from penstock.config.errors import ConfigError
from penstock.config.registry import HTTP, REGISTRY, UPSTREAM, block, command
from penstock.config.scope import Compilation, Scope
from penstock.config.source import Span
from penstock.config.tree import Directive, Word
from penstock.config.values import number, seconds
from penstock.modules.upstream_names import complete, follow
from penstock.net.dial import Address as SocketAddress
from penstock.net.fiber import Fiber
from penstock.net.names import lookup
from penstock.plan.plan import Plan
from penstock.plan.zone import Zone
from penstock.upstream import succession
from penstock.upstream.balancers import Balancer, Selection
from penstock.upstream.group import Group
from penstock.upstream.keepalive import KeepAlive
from penstock.upstream.peers import Peer, ServerOptions
from penstock.upstream.renewal import Member, Renewal
from penstock.upstream.resolver import Resolver
from penstock.upstream.shared import PeerTable, SharedPeer
from penstock.upstream.sticky import Sticky
from penstock.upstream.target import Target

PAGE = "ngx_http_upstream_module.html"
PLAIN = ServerOptions()


@dataclass(slots=True)
class Upstreams:
    """Every group of a configuration by its name in lower case, and those that addresses stand for."""

    groups: dict[str, Group] = field(default_factory=dict)
    implicit: dict[tuple[str, int], Group] = field(default_factory=dict)
    named: list[Member] = field(default_factory=list)
    zones: dict[str, int] = field(default_factory=dict)
    tables: dict[str, PeerTable] = field(default_factory=dict)
    renewals: list[Renewal] = field(default_factory=list)
    names_valid: float | None = 30.0
    sessions: dict[str, Zone] = field(default_factory=dict)
    sticky: bool = False
    shared: list[Member] = field(default_factory=list)
    """Names whose peers lie in zones."""

    def table(self, name: Word, before: PeerTable | None = None) -> PeerTable:
        """The memory of a zone: that of the plan in force, if it has the same size. Raises `ConfigError` where none of
        its groups gives a size."""
        found = self.tables.get(name.text)
        if found is None:
            size = self.zones[name.text]
            if not size:
                raise ConfigError(
                    f'zero size shared memory zone "{name.text}"', name.span, hint=f"add a size: zone {name.text} 64k;"
                )
            if before is None or before.size != size:
                before = PeerTable(name.text, size)
            found = self.tables[name.text] = before
        return found

    def follow_names(self) -> None:
        """Look up again what a `proxy_pass` names."""
        for member in self.named:
            follow(self, member)

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
            addresses = self._resolved(address, target, span)
            known = self.implicit[key] = literal_group(target, addresses, span)
            if address.family == "name":
                member = Member(target.name, address.host, address.port, PLAIN)
                member.group = known
                member.take(known.peers, addresses)
                self.named.append(member)
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
    found: Upstreams | None = compilation.shared.get("upstreams")
    if found is None:
        found = compilation.shared["upstreams"] = Upstreams()
        compilation.defer(found.follow_names)
    return found


def groups_named(plan: Plan, name: str) -> list[Group]:
    """Groups that a tunnel of another process may belong to: an `upstream`, or what addresses stand for."""
    upstreams: Upstreams | None = plan.shared.get("upstreams")
    if upstreams is None:
        return []
    group = upstreams.find(name)
    if group is not None:
        return [group]
    return [group for (host, _), group in upstreams.implicit.items() if host == name]


def begin(plan: Plan, needed: Callable[[], bool]) -> list[Fiber[None]]:
    """In a worker that serves `plan`: keep the names of its servers up to date, as long as that is `needed`. Returned
    is what does so."""
    upstreams: Upstreams | None = plan.shared.get("upstreams")
    if upstreams is None:
        return []
    for table in upstreams.tables.values():
        table.sweep()
    return [renewal.begin(needed) for renewal in upstreams.renewals]


def succeed(before: Plan, after: Plan) -> None:
    """In a worker: what is known of peers by the plan before goes on under the same names; idle connections too."""
    old: Upstreams = before.shared.get("upstreams") or Upstreams()
    new: Upstreams = after.shared.get("upstreams") or Upstreams()
    instead: dict[int, Peer] = {}
    heirs = [(group, new.groups.get(name)) for name, group in old.groups.items()]
    heirs += [(group, new.implicit.get(place)) for place, group in old.implicit.items()]
    for group, heir in heirs:
        if heir is None:
            succession.succeed_pool(group, None)
        else:
            instead.update(succession.succeed(group, heir))
    for renewal in new.renewals:
        places = renewal.member.places
        for place, peer in places.items():
            places[place] = instead.get(id(peer), peer)


def forget_others(plan: Plan) -> None:
    """When all workers go by `plan`: free what zones hold of servers that it does not have."""
    upstreams: Upstreams | None = plan.shared.get("upstreams")
    if upstreams is None:
        return
    for table in upstreams.tables.values():
        numbers = {
            peer.record
            for group in upstreams.groups.values()
            for peer in group.peers
            if isinstance(peer, SharedPeer) and peer.table is table
        }
        names = {member.key: member for member in upstreams.shared}

        def keep(number: int, key: str, numbers: set[int] = numbers, names: dict[str, Member] = names) -> bool:
            start, bar, name = key.partition("|")
            member = names.get(start + bar)
            if member is None:
                return number in numbers
            # Which addresses a name has, its renewal knows; but a port may have been of the configuration before.
            return bool(member.service) or name.partition("#")[0].endswith(f":{member.port}")

        table.retire(keep)


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
    members: list[Member] = field(default_factory=list)
    """Servers whose addresses may change."""
    resolved: list[tuple[Member, Span]] = field(default_factory=list)
    """Those that are looked up by name servers, at run time."""
    zone: Word | None = None
    resolver: Resolver | None = None
    resolver_timeout: float | None = None
    sticky: Sticky | None = None


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
    balancer = draft.balancer
    if draft.sticky is not None:
        draft.sticky.balancer = balancer
        balancer = draft.sticky
    group = Group(
        name,
        draft.peers,
        balancer=balancer,
        keepalive=draft.keepalive if draft.keepalive.most else None,
        span=directive.span,
    )
    groups[name.lower()] = group
    for member in draft.members:
        member.group = group
    scope.compilation.defer(lambda: complete(inner, draft, group, upstreams_of(scope.compilation)))
    if draft.backups and draft.method not in ("", "least_conn"):
        raise ConfigError('balancing method does not support parameter "backup"', draft.backups[0])
    if not draft.servers and all(REGISTRY.find(each.text, UPSTREAM) for each in directive.block or ()):
        raise ConfigError("no servers are inside upstream", directive.span, hint="add: server host:port;")
    if draft.peers and not group.primary.peers:
        raise ConfigError(
            f'no servers in upstream "{name}"', directive.span, hint="every server is a backup; one must not be"
        )


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
