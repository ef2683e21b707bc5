"""A group that takes the place of one of the same name: what is known of its peers, and its idle connections, stay.

Failures are forgotten where the servers of the group, or what is said of them, have changed: who changes that may have
mended what was wrong, as in a rolling restart.

A peer is known by its address. It goes on as the same object where it can, so that the requests and tunnels it carries
count for the new group as well, and are given back to the right one. A peer whose state moves, because its group has
begun or ceased to share it with the other workers, leaves behind who still holds it: those are led to the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.zone_table import SharedPeer

if TYPE_CHECKING:
    from penstock.net.dial import Address
    from penstock.upstream.peers.group import Group


def carry_over(before: Group, after: Group) -> dict[int, Peer]:
    """Let one group take the place of another. Returned is which peer is there instead of one that was made for it, by
    the id of the latter."""
    known: dict[Address, list[Peer]] = {}
    for peer in reversed(before.all_peers):
        known.setdefault(peer.address, []).append(peer)
    shape, servers = _shape(before), _servers(before)
    changed = servers != _servers(after)
    instead: dict[int, Peer] = {}
    for peer in after.all_peers:
        same = known.get(peer.address)
        if same:
            instead[id(peer)] = _go_on(same.pop(), peer)
    after.put_instead(instead)
    if changed:
        for peer in after.peers:
            peer.forgive()
    if _shape(after) != shape:
        # Weighted round robin owes nothing to anybody in another company.
        for peer in after.peers:
            peer.current_weight = 0
    carry_over_pool(before, after)
    return instead


def carry_over_pool(before: Group, after: Group | None) -> None:
    """Keep the idle connections that the new group may use, and close the others.

    Those of HTTP/2 end with what is under way on them: the new group makes its own.
    """
    if before.links is not None:
        before.links.retire()
    _carry_over_spares(before, after)
    pool = before.pool
    if pool is None:
        return
    if after is None or after.pool is None:
        pool.retire()
        return
    pool.options = after.pool.options
    pool.keep_only({peer.address for peer in after.peers})
    after.pool = pool


def _carry_over_spares(before: Group, after: Group | None) -> None:
    spares = before.spares
    if spares is None:
        return
    if after is None or after.spares is None:
        spares.retire()
        return
    spares.options = after.spares.options
    spares.keep_only({peer.address for peer in after.peers})
    after.spares = spares


def _shape(group: Group) -> list[tuple[Address, int]]:
    return [(peer.address, peer.weight) for peer in group.peers]


def _servers(group: Group) -> list[tuple[Address, ServerOptions]]:
    return [(peer.address, peer.options) for peer in group.peers]


def _go_on(old: Peer, new: Peer) -> Peer:
    """Return the one of the two that stands for both from now on."""
    if isinstance(old, SharedPeer) or isinstance(new, SharedPeer):
        if not (isinstance(old, SharedPeer) and isinstance(new, SharedPeer) and old.same_record(new)):
            _move(old, new)
        elif old.weight != new.weight:
            new.effective_weight = new.weight
        return new
    old.name, old.server, old.options, old.given = new.name, new.server, new.options, new.given
    if old.weight != new.weight:
        old.weight = old.effective_weight = new.weight
    return old


def _move(old: Peer, new: Peer) -> None:
    held = old.own
    old.active -= held
    new.active += held
    new.served += old.served
    new.health.take_over(old.health)
    if not new.fails:
        new.fails, new.accessed, new.checked = old.fails, old.accessed, old.checked
    old.heir = new
    # Requests and tunnels have the old peer, and nobody knows all of them: it becomes one that passes on.
    old.__class__ = MovedShared if isinstance(old, SharedPeer) else Moved


class Moved(Peer):
    """The rest of a peer whose state is elsewhere: what is given back to it is given back there."""

    __slots__ = ()

    def failed(self, now: float) -> bool:
        """Count the failure where the peer's state is now."""
        return _heir(self).failed(now)

    def did_well(self) -> None:
        """Forgive failures where the peer's state is now."""
        _heir(self).did_well()


class MovedShared(SharedPeer):
    """The same for a peer in shared memory."""

    __slots__ = ()

    def failed(self, now: float) -> bool:
        """Count the failure where the peer's state is now."""
        return _heir(self).failed(now)

    def did_well(self) -> None:
        """Forgive failures where the peer's state is now."""
        _heir(self).did_well()


def _heir(peer: Peer) -> Peer:
    assert peer.heir is not None
    return peer.heir


def _of_heir(name: str) -> property:
    def get(peer: Peer) -> Any:
        return getattr(_heir(peer), name)

    def put(peer: Peer, value: Any) -> None:
        setattr(_heir(peer), name, value)

    return property(get, put, doc="The heir's.")


for _name in ("active", "own", "fails", "accessed", "checked", "health"):
    setattr(Moved, _name, _of_heir(_name))
    setattr(MovedShared, _name, _of_heir(_name))
