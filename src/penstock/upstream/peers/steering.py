"""Servers of a group that are set, added and removed while the program runs, over what the configuration says.

What is set is plain values, which all workers share (`shared/steering.py`):

    {"next": 7, "set": {KEY: {"options": {"drain": true}, "at": 1764442326.0}},
     "added": [{"id": 6, "server": "10.0.0.9:80", "options": {"weight": 2}, "at": ...}], "removed": [KEY, ...]}

A KEY names a peer as long as its line and its address stay, whatever else of the configuration changes: what was set
survives a reload. `options` are fields of `ServerOptions`; `at` are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from penstock.config.addresses import peer_address
from penstock.upstream.peers.peers import Peer, ServerOptions

if TYPE_CHECKING:
    from penstock.upstream.peers.group import Group

Plain = Mapping[str, Any]  # JSON, of this program's making
MakeAdded = Callable[[str, ServerOptions], Peer]
"""Makes the peer of an address that was added."""

NAMED_FROM = 10_000
"""Peers of names that are looked up have numbers from here on, made of their addresses: each worker looks up for
itself, and all have to mean the same."""
_NAMED_RANGE = 1_000_000


class AddedServer(NamedTuple):
    """A server that was added; `at` is when."""

    number: int
    server: str
    options: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Steering:
    """What is set of one group, read from plain values."""

    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    added: tuple[AddedServer, ...] = ()
    removed: frozenset[str] = frozenset()

    @classmethod
    def read(cls, plain: Plain) -> Steering:
        """Make it of plain values."""
        changed = plain.get("set", {})
        added = tuple(AddedServer(each["id"], each["server"], each["options"], each["at"]) for each in plain["added"])
        return cls(
            {key: each["options"] for key, each in changed.items()},
            {key: each["at"] for key, each in changed.items()},
            added,
            frozenset(plain.get("removed", ())),
        )


class NumberedPeer(NamedTuple):
    """A peer with its number and its key; `at` is when something of it was set, 0.0 for never. `added`: not of the
    configuration."""

    number: int
    key: str
    peer: Peer
    at: float = 0.0
    added: bool = False


def keyed(peers: Sequence[Peer]) -> list[tuple[str, Peer]]:
    """Return peers with their keys; those that are alike are counted."""
    seen: dict[str, int] = {}
    found = []
    for peer in peers:
        key = f"{peer.server} {peer.name}"
        count = seen[key] = seen.get(key, 0) + 1
        found.append((key if count == 1 else f"{key} #{count}", peer))
    return found


def steered(group: Group, peers: Sequence[Peer]) -> list[Peer]:
    """Return the peers to choose among, of those that the configuration gives, with their options set."""
    steering = group.steering
    assert steering is not None
    extra = {each.server: each for each in steering.added}
    found = []
    for key, peer in keyed(peers):
        again = extra.pop(peer.server, None)
        options = steering.changes.get(key) or (again.options if again is not None else {})
        set_options(peer, replace(peer.given, **options))
        if key not in steering.removed or again is not None:
            found.append(peer)
    made = {}
    for each in extra.values():
        added = group.added.get(each.number)
        wanted = ServerOptions(**each.options)
        if added is None or added.server != each.server:
            added = group.make_added(each.server, wanted)
        set_options(added, wanted)
        made[each.number] = added
        found.append(added)
    for number, gone in group.added.items():
        if made.get(number) is not gone:
            gone.gone()
    group.added = made
    return found


def unsteered(group: Group) -> None:
    """Give all peers of the configuration what it says of them."""
    for peer in group.configured:
        set_options(peer, peer.given)
    for gone in group.added.values():
        gone.gone()
    group.added = {}


def set_options(peer: Peer, options: ServerOptions) -> None:
    """Let a peer have these options."""
    if peer.options == options:
        return
    peer.options = options
    if peer.weight != options.weight:
        peer.weight = peer.effective_weight = options.weight


def numbered(group: Group) -> list[NumberedPeer]:
    """Return the peers in use with their numbers, which are the same in all workers."""
    steering = group.steering or Steering()
    by_server = {each.server: each for each in steering.added}
    used = {each.number for each in steering.added}
    found = []
    place = 0
    for key, peer in keyed(group.configured):
        at = steering.times.get(key, 0.0)
        again = by_server.get(peer.server)
        if again is not None:
            number, at = again.number, max(at, again.at)
            del by_server[peer.server]
        elif _is_name(peer.server):
            number = NAMED_FROM + crc32(key.encode("latin-1")) % _NAMED_RANGE
        else:
            number, place = place, place + 1
        while again is None and number in used:
            number += NAMED_FROM // 10
        used.add(number)
        if key not in steering.removed or again is not None:
            found.append(NumberedPeer(number, key, peer, at))
    for each in steering.added:
        added = group.added.get(each.number)
        if added is not None:
            found.append(NumberedPeer(each.number, f"+{each.number}", added, each.at, added=True))
    return found


def next_number(group: Group, plain: Plain) -> int:
    """Return the number for a server that is added."""
    taken = [each.number for each in numbered(group) if each.number < NAMED_FROM]
    return max([int(plain.get("next", 0)), *(number + 1 for number in taken)])


def _is_name(server: str) -> bool:
    """Return whether its addresses come and go: a name that is looked up, or a list from elsewhere."""
    if "://" in server:
        return True
    try:
        return peer_address(server).family == "name"
    except ValueError:
        return False
