"""Addresses of a server line as name servers tell them (`resolver`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.net.loop import running_loop
from penstock.upstream.names.refresh import LookUp, Member, NamedAddress, address_of
from penstock.upstream.names.unresolved import NXDOMAIN, Unresolved

if TYPE_CHECKING:
    from penstock.upstream.names.dns import ServiceRecord
    from penstock.upstream.names.resolver import Resolver

MISSING = 10.0
"""Seconds after which a name that is not there is asked for again."""


def by_resolver(resolver: Resolver, timeout: float) -> LookUp:
    """Ask name servers: for addresses, or for a service and the addresses of its targets.

    A name that they say is not there leads nowhere.
    """

    async def look_up(member: Member) -> tuple[list[NamedAddress], float]:
        hot = running_loop().hot
        try:
            if member.service:
                places, expires = await _services(resolver, timeout, member)
            else:
                found = await resolver.addresses(member.host, timeout)
                places = [member.place(member.at(each)) for each in found.addresses]
                expires = found.expires
        except Unresolved as error:
            if error.code != NXDOMAIN:
                raise
            resolver.log(str(error))
            return [], MISSING if resolver.valid is None else resolver.valid
        return places, expires - hot.now

    return look_up


async def _services(resolver: Resolver, timeout: float, member: Member) -> tuple[list[NamedAddress], float]:
    service = member.service
    name = service if service.startswith("_") else f"_{service}._tcp"
    found = await resolver.services(f"{name}.{member.host}", timeout)
    expires = found.expires
    options = member.options
    reached: list[tuple[ServiceRecord, str]] = []
    for each in found.services:
        try:
            target = await resolver.addresses(each.target, timeout)
        except Unresolved as error:
            if error.code != NXDOMAIN:
                raise
            resolver.log(f"{error} while resolving service {service} of {member.host}")
            continue
        expires = min(expires, target.expires)
        reached += [(each, address) for address in target.addresses]
    first = min((each.priority for each, _ in reached), default=0)
    places = [
        NamedAddress(
            address_of(address, each.port),
            options.weight if options.weight != 1 else max(1, each.weight),
            options.backup or each.priority != first,
            each.target,
        )
        for each, address in reached
    ]
    return places, expires
