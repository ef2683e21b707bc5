"""Groups of servers: `upstream`, and the connections it keeps (nginx: ngx_http_upstream_module).

`server` is in `server.py`, how one is chosen in `balancing.py`, `zone` in `zone.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.config.addresses import Address
from penstock.config.errors import ConfigError
from penstock.config.key import Key, KeyedValues
from penstock.config.registry import HTTP, REGISTRY, STREAM, STREAM_UPSTREAM, UPSTREAM, block
from penstock.config.scope import Compilation, Scope
from penstock.config.source import Span
from penstock.config.tree import Directive, Word
from penstock.modules.upstream.names import complete, follow
from penstock.net.dial import Address as SocketAddress
from penstock.net.fiber import Fiber
from penstock.net.names import lookup
from penstock.plan.plan import STREAM_PART, Plan
from penstock.shared.server_lists import ServerLists
from penstock.shared.steering import STEERING, SteeringMemory
from penstock.shared.zone import Zone
from penstock.upstream.exchange.target import Target
from penstock.upstream.names.refresh import Member, Renewal
from penstock.upstream.peers import reload
from penstock.upstream.peers.balancers import Balancer, PeerSelection
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.keepalive import KeepAlive
from penstock.upstream.peers.methods import composed
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.zone_table import RECORD, PeerTable, SharedPeer

if TYPE_CHECKING:
    from penstock.upstream.admission.bounds import SharedBounds
    from penstock.upstream.admission.rule import AdmissionRule
    from penstock.upstream.checks.check import Check
    from penstock.upstream.checks.rounds import Rounds
    from penstock.upstream.names.listed import ListedMember
    from penstock.upstream.names.resolver import Resolver
    from penstock.upstream.peers.queue import Queue
    from penstock.upstream.peers.spares import Preconnect
    from penstock.upstream.peers.sticky import Sticky

PAGE = "ngx_http_upstream_module.html"
PLAIN = ServerOptions()
OWN_ZONE = "checks of upstream "
"""Begins the names of zones that nobody has written."""


UPSTREAMS: Key[Upstreams] = Key("upstreams")


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
    checks: dict[str, list[Check]] = field(default_factory=dict)
    """What the locations say that pass to a group, by its name in lower case."""
    rounds: list[Rounds] = field(default_factory=list)
    bounds: dict[str, SharedBounds] = field(default_factory=dict)
    listed: list[ListedMember] = field(default_factory=list)
    """Servers that lists from elsewhere name, ..."""
    lists: ServerLists | None = None
    """... and those lists."""

    def table(self, name: Word, before: PeerTable | None = None) -> PeerTable:
        """Return the memory of a zone: that of the plan in force, if it has the same size. Raises `ConfigError` where
        none of its groups gives a size."""
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

    def own_zone(self, group: Group) -> Word:
        """Return a zone for a group that is checked and has none: what one worker finds, all have to know. It has room
        for names that lead to more addresses later."""
        room = 64
        while room < 4 * len(group.peers):
            room *= 2
        span = group.span
        assert span is not None
        name = Word(f"{OWN_ZONE}{group.name}", span, False)
        self.zones[name.text] = room * RECORD
        return name

    def shared_bounds(self, name: str, before: Upstreams | None) -> SharedBounds:
        """Return bounds for handshakes that all workers share, those of the plan in force if it has them."""
        found = self.bounds.get(name)
        if found is None:
            from penstock.upstream.admission.bounds import SharedBounds

            known = None if before is None else before.bounds.get(name)
            found = self.bounds[name] = SharedBounds(name) if known is None else known
        return found

    def follow_names(self) -> None:
        """Look up again what a `proxy_pass` names."""
        for member in self.named:
            follow(self, member)

    def find(self, name: str) -> Group | None:
        """Find a group by its name, in any letters; None if there is none."""
        return self.groups.get(name.lower())

    def spare(self, most: int) -> int:
        """Close so many of the connections to backends that wait for a request; how many there were."""
        count = 0
        for group in (*self.groups.values(), *self.implicit.values()):
            for kept in (group.spares, group.pool):
                if kept is not None and count < most:
                    count += kept.spare(most - count)
        return count

    def for_target(self, target: Target, span: Span | None) -> Group:
        """Find the group a `proxy_pass` means, while the configuration is read. Raises `ConfigError`."""
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
        if not (address.port or target.unix):
            meant = self._meant(target.name) if address.family == "name" else None
            hint = meant or f"write: {target.name}:port"
            raise ConfigError(f'no port in upstream "{target.name}"', span, hint=hint)
        key = (target.name, address.port)
        known = self.implicit.get(key)
        if known is None:
            addresses = self._resolved(address, target, span)
            known = self.implicit[key] = literal_group(target, addresses, span)
            if address.family == "name":
                member = Member(target.name, address.host, address.port, PLAIN)
                member.group = known
                member.begin_with(known.peers, addresses)
                self.named.append(member)
        return known

    def _resolved(self, address: Address, target: Target, span: Span | None) -> list[Address]:
        if address.family != "name":
            return [address]
        try:
            found = lookup(address.host)
        except (OSError, UnicodeError):
            hint = self._meant(address.host) or "no upstream block has that name, and no host"
            raise ConfigError(f'host not found in upstream "{address.host}"', span, hint=hint) from None
        return [Address("inet6" if ":" in text else "inet", text, address.port) for text in found]

    def _meant(self, name: str) -> str | None:
        """Which group may have been meant by a name that is neither a group's nor a host's; None if that is open."""
        from difflib import get_close_matches  # for mistakes alone, and it is large

        close = get_close_matches(name.lower(), self.groups, 1, 0.6)
        group = self.groups[close[0]] if close else None
        if group is None and len(self.groups) == 1:
            group = next(iter(self.groups.values()))
        if group is None:
            return None
        where = f" of {group.span.file}:{group.span.line}" if group.span is not None else ""
        return f'no upstream block has that name; did you mean the upstream "{group.name}"{where}?'


def literal_group(
    target: Target, addresses: list[Address], span: Span | None = None, options: ServerOptions = PLAIN
) -> Group:
    """Return the group that stands for an address, or for the addresses of a host."""
    peers = [Peer(socket_address(each), str(each), target.name, options) for each in addresses]
    return Group(target.name, peers, span=span, implicit=True)


def upstreams_of(compilation: Compilation) -> Upstreams:
    """Return the groups of the configuration being compiled."""
    found = compilation.shared.get(UPSTREAMS)
    if found is None:
        found = compilation.shared[UPSTREAMS] = Upstreams()
        compilation.defer(found.follow_names)
    return found


def groups_named(plan: Plan, name: str, *, of_streams: bool = False) -> list[Group]:
    """Return groups that a tunnel of another process may belong to: an `upstream`, or what addresses stand for, of HTTP
    or of streams."""
    part = plan.shared.get(STREAM_PART) if of_streams else plan.shared
    upstreams = None if part is None else part.get(UPSTREAMS)
    if upstreams is None:
        return []
    group = upstreams.find(name)
    if group is not None:
        return [group]
    return [group for (host, _), group in upstreams.implicit.items() if host == name]


def all_groups(plan: Plan) -> list[Group]:
    """Return every `upstream`, and what addresses stand for that are written down."""
    every = plan.each(UPSTREAMS)
    return [group for each in every for group in (*each.groups.values(), *each.implicit.values())]


def begin(plan: Plan, needed: Callable[[], bool]) -> list[Fiber[None]]:
    """Keep the names of `plan`'s servers up to date in a worker, and check servers, as long as that is `needed`.

    Returned is what does so."""
    fibers: list[Fiber[None]] = []
    for upstreams in plan.each(UPSTREAMS):
        for table in upstreams.tables.values():
            table.sweep()
        fibers += (renewal.begin(needed) for renewal in upstreams.renewals)
        fibers += (rounds.begin(needed) for rounds in upstreams.rounds)
    return fibers


def carry_over(before: Plan, after: Plan) -> None:
    """Let what is known of peers by the plan before go on under the same names, in a worker; idle connections too."""
    _carry_over(before.shared, after.shared)
    _carry_over(before.shared.get(STREAM_PART) or KeyedValues(), after.shared.get(STREAM_PART) or KeyedValues())


def _carry_over(before: KeyedValues, after: KeyedValues) -> None:
    old = before.get(UPSTREAMS) or Upstreams()
    new = after.get(UPSTREAMS) or Upstreams()
    instead: dict[int, Peer] = {}
    heirs = [(group, new.groups.get(name)) for name, group in old.groups.items()]
    heirs += [(group, new.implicit.get(place)) for place, group in old.implicit.items()]
    for group, heir in heirs:
        if heir is None:
            reload.carry_over_pool(group, None)
        else:
            instead.update(reload.carry_over(group, heir))
    for member in (*(renewal.member for renewal in new.renewals), *new.listed):
        places = member.places
        for place, peer in places.items():
            places[place] = instead.get(id(peer), peer)


def forget_others(plan: Plan) -> None:
    """Free what zones hold of servers that `plan` does not have, once all workers go by it."""
    for upstreams, table in [(each, table) for each in plan.each(UPSTREAMS) for table in each.tables.values()]:
        numbers = {
            peer.record
            for group in upstreams.groups.values()
            for peer in group.all_peers
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
    """Return an address in the form sockets want."""
    return address.host if address.family == "unix" else (address.host, address.port)


DRAFT: Key[Draft] = Key("upstream")
"""The group that a level of the configuration is."""


@dataclass(slots=True)
class Draft:
    """A group while its block is read."""

    peers: list[Peer] = field(default_factory=list)
    servers: int = 0
    balancer: Balancer = PeerSelection
    method: str = ""
    backups: list[Span] = field(default_factory=list)
    keepalive: KeepAlive = field(default_factory=KeepAlive)
    preconnect: Preconnect | None = None
    given: set[str] = field(default_factory=set)
    members: list[Member] = field(default_factory=list)
    """Servers whose addresses may change."""
    resolved: list[tuple[Member, Span]] = field(default_factory=list)
    """Those that are looked up by name servers, at run time."""
    zone: Word | None = None
    resolver: Resolver | None = None
    resolver_timeout: float | None = None
    sticky: Sticky | None = None
    state_file: str = ""
    queue: Queue | None = None
    admission: AdmissionRule | None = None
    slow: Span | None = None
    """A server that starts slowly."""
    listed: list[ListedMember] = field(default_factory=list)
    """Servers that lists from elsewhere name."""


@block("upstream", where=HTTP | STREAM, least=1, most=1, syntax="name { ... }", nginx=PAGE)
def upstream(scope: Scope, directive: Directive) -> None:
    """A group of servers that `proxy_pass http://name` and its kin refer to."""
    name = directive.args[0].text
    groups = upstreams_of(scope.compilation).groups
    if name.lower() in groups:
        raise ConfigError(f'duplicate upstream "{name}"', directive.span)
    level = STREAM_UPSTREAM if scope.context is STREAM else UPSTREAM
    inner = scope.child(level, directive)
    draft = inner.data[DRAFT] = Draft()
    inner.walk(directive.block or ())
    group = Group(
        name,
        draft.peers,
        balancer=_balancer(draft),
        keepalive=draft.keepalive if draft.keepalive.most and level is UPSTREAM else None,
        span=directive.span,
    )
    group.state_file = draft.state_file
    group.queue = draft.queue
    if draft.admission is not None:
        from penstock.upstream.admission.gate import Gate

        group.admission = Gate(draft.admission, f"upstream {name}")
    if draft.preconnect is not None:
        from penstock.upstream.peers.spares import Spares

        group.spares = Spares(draft.preconnect)
    groups[name.lower()] = group
    for member in draft.members:
        member.group = group
    compilation = scope.compilation
    if STEERING not in compilation.shared:
        compilation.shared[STEERING] = compilation.previous.get(STEERING) or SteeringMemory()
    compilation.defer(
        lambda: complete(inner, draft, group, upstreams_of(compilation), compilation.previous.get(UPSTREAMS))
    )
    if draft.backups and draft.method not in ("", "least_conn", "least_time"):
        raise ConfigError('balancing method does not support parameter "backup"', draft.backups[0])
    named = draft.servers or draft.state_file or draft.listed
    if not named and all(REGISTRY.find(each.text, level) for each in directive.block or ()):
        raise ConfigError("no servers are inside upstream", directive.span, hint="add: server host:port;")
    upstreams_of(compilation).listed += draft.listed
    if draft.peers and not group.primary.peers and not draft.listed:
        raise ConfigError(
            f'no servers in upstream "{name}"', directive.span, hint="every server is a backup; one must not be"
        )


def _balancer(draft: Draft) -> Balancer:
    admits = draft.admission is not None
    try:
        return composed(
            draft.balancer, slow=draft.slow is not None, sticky=draft.sticky, queue=draft.queue, admits=admits
        )
    except ValueError as error:
        raise ConfigError(str(error), draft.slow) from None
