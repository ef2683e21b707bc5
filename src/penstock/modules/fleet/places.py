"""Places that a request or a tunnel has among all machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.modules.fleet.digests import Digests
    from penstock.modules.fleet.link import Link
    from penstock.modules.fleet.membership import Fleet


class FleetPlaces:
    """They are left by a call."""

    __slots__ = ("_digests", "_link")

    def __init__(self, link: Link, digests: Sequence[bytes]) -> None:
        self._link = link
        self._digests = digests

    def __call__(self) -> None:
        digests, self._digests = self._digests, ()
        if digests:
            self._link.leave(digests)


def held_anyway(fleet: Fleet | None, digests: Digests | None, key: str) -> FleetPlaces | None:
    """Count a place of a tunnel that came from another process, however many there are. None without a fleet."""
    if fleet is None or digests is None or fleet.link is None:
        return None
    digest = digests.of(key)
    fleet.link.hold(digest)
    return FleetPlaces(fleet.link, (digest,))
