"""What becomes of a group once the file has been read: its zone, and the servers that are looked up again.

nginx looks names up when it reads the configuration, and never again unless they have `resolve`. Here those without it
are followed too, through the system as at first, so that a backend which comes back with another address is found;
`upstream_names_valid` says how often, or `off`.
"""

from __future__ import annotations

from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING

from penstock.config.addresses import Address, peer_address
from penstock.config.errors import ConfigError
from penstock.modules.core.resolver import Resolving
from penstock.observe.errorlog import ERROR, NOTICE, WARN, report
from penstock.upstream.names.refresh import Member, Renewal, by_system
from penstock.upstream.peers.peers import MakePeer, Peer, ServerOptions
from penstock.upstream.peers.zone_table import PeerTable, SharedPeer

if TYPE_CHECKING:
    from penstock.config.scope import Scope
    from penstock.modules.upstream.upstream import Draft, Upstreams
    from penstock.net.dial import Address as SocketAddress
    from penstock.upstream.names.resolver import Resolver
    from penstock.upstream.peers.group import Group

_FAILED_RETRY = 10.0
_LONGEST_NAME = 56
"""Of what fits into a key; only paths of unix sockets are longer, and their lines have one address each."""


def complete(scope: Scope, draft: Draft, group: Group, upstreams: Upstreams, before: Upstreams | None) -> None:
    """Give a group its shared memory, and its names their renewal. `before` are those of the configuration in force.
    Raises `ConfigError`."""
    checks = upstreams.checks.get(group.name.lower(), [])
    zone = draft.zone
    if zone is None and checks:
        zone = upstreams.own_zone(group)
    known = None if before is None or zone is None else before.tables.get(zone.text)
    table = None if zone is None else upstreams.table(zone, known)
    if draft.resolved and table is None:
        raise ConfigError(
            f'resolving names at run time requires upstream "{group.name}" to be in shared memory',
            draft.resolved[0][1],
            hint=f"add: zone {group.name} 64k;",
        )
    if table is not None:
        share(group, draft.members, table)
        if checks:
            from penstock.upstream.checks.rounds import Rounds

            group.check(checks, monotonic())
            upstreams.rounds.append(Rounds(group, group.checks, table, _told))
        if group.admission is not None:
            group.admission.bounds = upstreams.shared_bounds(group.admission.name, before)
        upstreams.shared += draft.members
        if known is not None:
            for member, _ in draft.resolved:
                _as_before(member, known)
    for listed in draft.listed:
        listed.go_by(listed.first)
    found = {id(member) for member, _ in draft.resolved}
    for member in draft.members:
        if id(member) not in found and member.looked_up:
            follow(upstreams, member)
    if draft.resolved:
        from penstock.upstream.names.by_resolver import by_resolver

        resolver, timeout = _resolver(scope, draft, group)
        for member, _ in draft.resolved:
            look_up = by_resolver(resolver, timeout)
            upstreams.renewals.append(Renewal(member, look_up, retry=max(1.0, timeout), log=_log))


def follow(upstreams: Upstreams, member: Member) -> None:
    """Look a name up again through the system, now and then, if that is wanted."""
    every = upstreams.names_valid
    if every is not None:
        renewal = Renewal(member, by_system(every), retry=min(every, _FAILED_RETRY), log=_log, first=every)
        upstreams.renewals.append(renewal)


def _resolver(scope: Scope, draft: Draft, group: Group) -> tuple[Resolver, float]:
    assert scope.parent is not None
    outer = scope.parent.settings(Resolving)
    resolver = draft.resolver or outer.resolver
    if resolver is None:
        raise ConfigError(
            f'no resolver defined to resolve names at run time in upstream "{group.name}"',
            draft.resolved[0][1],
            hint='name servers are given by "resolver", here or in http; Docker\'s own is 127.0.0.11',
        )
    return resolver, outer.timeout if draft.resolver_timeout is None else draft.resolver_timeout


def share(group: Group, members: list[Member], table: PeerTable) -> None:
    """Put what is known of a group's peers into memory that all workers see."""
    names: dict[str, int] = {}
    peers: list[Peer] = []
    changed: dict[int, Peer] = {}
    for peer in group.peers:
        count = names[peer.server] = names.get(peer.server, 0) + 1
        make = _maker(table, f"{group.name}\n{peer.server}\n{count}", group.name)
        made = changed[id(peer)] = make(peer.address, peer.name, peer.server, peer.options, 0)
        peers.append(made)
    group.arrange(peers)
    group.zone = table.name
    named = group.name  # not the group itself: what it has must not lead back to it
    group.maker = lambda server: _maker(table, f"{named}\n{server}\nadded", named)
    hosts: dict[str, int] = {}
    for member in members:
        member.places = {place: changed[id(peer)] for place, peer in member.places.items()}
        count = hosts[member.host] = hosts.get(member.host, 0) + 1
        member.make = _maker(table, f"{group.name}\n{member.host}\n{member.service}\n{count}", group.name)
        member.key = _prefix(f"{group.name}\n{member.host}\n{member.service}\n{count}")


def _maker(table: PeerTable, key: str, group: str) -> MakePeer:
    prefix = _prefix(key)

    def make(address: SocketAddress, name: str, server: str, options: ServerOptions, copy: int) -> Peer:
        which = name if len(name) < _LONGEST_NAME else ""
        record = table.record(f"{prefix}{which}#{copy}" if copy else prefix + which, options.weight)
        if not record:
            report(None, ERROR, f'cannot add new server to upstream "{group}", memory exhausted in zone "{table.name}"')
            return Peer(address, name, server, options)
        return SharedPeer(table, record, address, name, server, options)

    return make


def _prefix(key: str) -> str:
    return blake2b(key.encode("latin-1"), digest_size=8).hexdigest() + "|"


def _as_before(member: Member, table: PeerTable) -> None:
    """Begin with the addresses that the workers of the configuration before have found."""
    known: dict[tuple[str, str], Address] = {}
    for text in table.live(member.key):
        name, _, copy = text.partition("#")
        address = peer_address(name)
        # The port is what the line says now: one address may be known with two.
        known[(name if member.service else address.host), copy] = address
    member.lead_to([member.place(each if member.service else member.at(each.host)) for each in known.values()])


def _log(text: str) -> None:
    report(None, ERROR, text)


def _told(good: bool, text: str) -> None:
    report(None, NOTICE if good else WARN, text)
