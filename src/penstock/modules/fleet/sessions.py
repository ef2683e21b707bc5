"""What the machines of a fleet know of sessions (`sticky learn ... sync`): which server has one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from penstock.modules.fleet import scripts
from penstock.modules.fleet.ask import Wait
from penstock.modules.fleet.digests import Digests

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.modules.fleet.fleet import Fleet

_SESSION = struct.Struct("<16sd8s")
_NOBODY = bytes(8)


class FleetSessions:
    """The sessions of one zone. `fleet` is there once the configuration has been read; `forget` is told the digest of a
    session of which another machine has said something else."""

    __slots__ = ("_digests", "fleet", "forget")

    def __init__(self, zone: str) -> None:
        self._digests = Digests(f"sticky {zone}")
        self.fleet: Fleet | None = None
        self.forget: Callable[[bytes], None] = _ignore

    @property
    def there(self) -> bool:
        """Return whether Redis can be asked now."""
        fleet = self.fleet
        return fleet is not None and fleet.link is not None and fleet.link.up

    def digest(self, session: str) -> bytes:
        """Return what stands for a session on every machine."""
        return self._digests.of(session)

    async def ask(self, digest: bytes) -> bytes | None:
        """Ask for the server of a session. None where nobody knows, or Redis does not say so in time."""
        link = None if self.fleet is None else self.fleet.link
        if link is None:
            return None
        packed = _SESSION.pack(digest, 0, _NOBODY)
        reply = await Wait().of(lambda told: link.ask_and_watch(scripts.session, packed, told))
        server = reply[1] if reply is not None and len(reply) > 1 else None
        return server if isinstance(server, bytes) and len(server) == len(_NOBODY) else None

    def say(self, digest: bytes, server: bytes, seconds: float) -> None:
        """Say where a session is, for so long. Nobody waits, and what Redis does not hear it is told with another use.
        """
        link = None if self.fleet is None else self.fleet.link
        if link is not None:
            link.ask_and_watch(scripts.session, _SESSION.pack(digest, seconds * 1000, server), _ignore)


def _ignore(told: object) -> None:
    return None
