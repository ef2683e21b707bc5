"""Servers of a group that a list from elsewhere names: the group has those, and no others of that list.

A peer stays the same one while its address is on the list, whatever else is said of it, so that what it carries goes
on to count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from penstock.config.addresses import Address
from penstock.upstream.names.refresh import Member, NamedAddress
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.steering import set_options

if TYPE_CHECKING:
    from penstock.net.dial import Address as SocketAddress

LISTED = "listed"


class ListedServer(NamedTuple):
    """A server of a list: its address in figures, and its parameters."""

    address: Address
    options: ServerOptions


NOBODY: tuple[ListedServer, ...] = ()


class ListedMember(Member):
    """The servers of one list in one group. `text` is how its source is written; `source` is for who follows it.

    `first` are the servers that it begins with.
    """

    __slots__ = ("first", "servers", "source")

    looked_up = False

    def __init__(self, text: str, source: object) -> None:
        super().__init__(text, text, 0, ServerOptions(), LISTED)
        self.source = source
        self.servers = self.first = NOBODY

    def go_by(self, servers: Sequence[ListedServer]) -> bool:
        """Let the group have these servers. Return whether anything changed."""
        found = tuple(servers)
        if found == self.servers:
            return False
        self.servers = found
        wanted: dict[NamedAddress, ServerOptions] = {}
        for each in found:
            place = NamedAddress(each.address, 1, False)
            while place in wanted:
                place = replace(place, copy=place.copy + 1)
            wanted[place] = each.options
        group = self.group
        assert group is not None
        for place, peer in self.places.items():
            if place in wanted and peer.given != wanted[place]:
                peer.given = wanted[place]
                set_options(peer, peer.given)
        if not self.lead_to_places(wanted):
            group.arrange(group.configured)
        return True

    def make_peer(self, place: NamedAddress, options: ServerOptions) -> Peer:
        """Make the peer of an address."""
        address = place.address
        at: SocketAddress = address.host if address.family == "unix" else (address.host, address.port)
        assert self.group is not None
        return self.group.take_up(self.make(at, str(address), self.text, options, place.copy), monotonic())
