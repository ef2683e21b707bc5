"""Servers of a group that are given by name: looked up again and again, so that the group follows the name.

Peers whose address stays are kept, with all that is known of them; a name that can not be looked up keeps the addresses
it had. Each worker looks up for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from penstock.config.addresses import Address
from penstock.net.fiber import Fiber
from penstock.net.loop import running_loop
from penstock.net.names import lookup
from penstock.upstream.names.unresolved import NXDOMAIN, Unresolved
from penstock.upstream.peers.peers import MakePeer, Peer, ServerOptions, own_peer

if TYPE_CHECKING:
    from penstock.upstream.peers.group import Group

SOONEST = 1.0
"""Seconds between two questions at least, however short an answer holds."""


@dataclass(frozen=True, slots=True)
class NamedAddress:
    """An address that a name leads to, and what a service record says of it; `target` is the name it gives.

    `copy` counts those that are the same.
    """

    address: Address
    weight: int
    backup: bool
    target: str = ""
    copy: int = 0


class Member:
    """A `server` line whose addresses may change: `text` is the name as written, `make` makes its peers. One that is
    not `looked_up` is told its addresses by other means."""

    __slots__ = ("group", "host", "key", "make", "options", "places", "port", "service", "text")

    looked_up = True

    def __init__(self, text: str, host: str, port: int, options: ServerOptions, service: str = "") -> None:
        self.text = text
        self.host = host
        self.port = port
        self.options = options
        self.service = service
        self.group: Group | None = None
        self.make: MakePeer = own_peer
        self.places: dict[NamedAddress, Peer] = {}
        self.key = ""

    def begin_with(self, peers: Sequence[Peer], addresses: Sequence[Address]) -> None:
        """Begin with peers that were made when the name was looked up first."""
        for peer, address in zip(peers, addresses, strict=True):
            self.places[self.place(address)] = peer

    def at(self, host: str) -> Address:
        """Return an address of this server."""
        return address_of(host, self.port)

    def place(self, address: Address) -> NamedAddress:
        """Return an address as the line itself has it."""
        return NamedAddress(address, self.options.weight, self.options.backup)

    def lead_to(self, found: Sequence[NamedAddress]) -> bool:
        """Let the group have peers at these addresses and no others of this name. Return whether anything changed."""
        wanted: dict[NamedAddress, ServerOptions] = {}
        for place in found:
            while place in wanted:
                place = replace(place, copy=place.copy + 1)
            wanted[place] = self._options(place)
        return self.lead_to_places(wanted)

    def lead_to_places(self, wanted: Mapping[NamedAddress, ServerOptions]) -> bool:
        """Let the group have peers at these places, with these options where they are new, and no others of this line.
        Return whether there are others than before."""
        group = self.group
        assert group is not None
        if wanted.keys() == self.places.keys():
            return False
        places = {place: self.places.get(place) or self.make_peer(place, options) for place, options in wanted.items()}
        before = set(map(id, self.places.values()))
        for place, peer in self.places.items():
            if place not in places:
                peer.gone()
        peers: list[Peer] = []
        added = False
        for peer in group.configured:
            if id(peer) not in before:
                peers.append(peer)
            elif not added:
                peers += places.values()
                added = True
        if not added:
            peers += places.values()
        self.places = places
        group.arrange(peers)
        return True

    def _options(self, place: NamedAddress) -> ServerOptions:
        options = self.options
        if (place.weight, place.backup) == (options.weight, options.backup):
            return options
        return replace(options, weight=place.weight, backup=place.backup)

    def make_peer(self, place: NamedAddress, options: ServerOptions) -> Peer:
        """Make the peer of an address."""
        address = place.address
        made = self.make((address.host, address.port), str(address), place.target or self.text, options, place.copy)
        assert self.group is not None
        return self.group.take_up(made, monotonic())


LookUp = Callable[[Member], Awaitable[tuple[list[NamedAddress], float]]]


class Renewal:
    """The task that keeps a member up to date: `look_up` gives its places and the seconds they hold, or raises
    `Unresolved`.

    `retry` is how long to wait after a failure, in seconds.
    """

    __slots__ = ("_log", "_look_up", "_retry", "first", "member")

    def __init__(
        self,
        member: Member,
        look_up: LookUp,
        *,
        retry: float,
        log: Callable[[str], None],
        first: float = 0.0,
    ) -> None:
        self.member = member
        self.first = first
        self._look_up = look_up
        self._retry = retry
        self._log = log

    def begin(self, needed: Callable[[], bool]) -> Fiber[None]:
        """Start, in a worker, and go on as long as it is `needed`, or until the fiber is cancelled."""
        fiber = Fiber(self._renew(needed))
        fiber.resume()
        return fiber

    async def _renew(self, needed: Callable[[], bool]) -> None:
        rest = self.first
        while True:
            if rest:
                await asyncio.sleep(rest)
            if not needed():
                return
            try:
                places, holds = await self._look_up(self.member)
            except Unresolved as error:
                self._log(str(error))
                rest = max(SOONEST, self._retry)
            else:
                self.member.lead_to(places)
                rest = max(SOONEST, holds)


def by_system(every: float) -> LookUp:
    """Ask the system, as when the configuration was read, in a thread, since it may take its time.

    It does not say how long an answer holds: `every` seconds are taken.
    """

    async def look_up(member: Member) -> tuple[list[NamedAddress], float]:
        try:
            found = await running_loop().run_in_executor(None, lookup, member.host)
        except (OSError, UnicodeError):
            raise Unresolved(member.host, NXDOMAIN) from None
        return [member.place(member.at(each)) for each in found], every

    return look_up


def address_of(text: str, port: int) -> Address:
    """Return an address in figures."""
    return Address("inet6" if ":" in text else "inet", text, port)
