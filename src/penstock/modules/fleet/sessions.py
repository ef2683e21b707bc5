"""What the machines of a fleet know of sessions (`sticky learn ... sync`): which server has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.fleet.ask import Wait
from penstock.modules.fleet.digests import Digests

if TYPE_CHECKING:
    from penstock.modules.fleet.link import Link
    from penstock.modules.fleet.membership import Fleet
    from penstock.net.redis.replies import Reply
    from penstock.upstream.peers.shared_sessions import SharedSessions

_LENGTH = 8
"""Bytes that stand for a server."""


class FleetSessions:
    """The sessions of one zone. `fleet` is there once the configuration has been read; `known` is what this machine
    knows of them."""

    __slots__ = ("_digests", "fleet", "known")

    def __init__(self, zone: str) -> None:
        self._digests = Digests(f"sticky {zone}")
        self.fleet: Fleet | None = None
        self.known: SharedSessions | None = None

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
        key = _key(link, digest)
        reply = await Wait().of(lambda told: link.ask_and_watch(key, told))
        return _server(reply)

    def say(self, digest: bytes, server: bytes, seconds: float) -> None:
        """Say where a session is, for so long. Nobody waits, and what Redis does not hear it is told with another use.
        """
        link = None if self.fleet is None else self.fleet.link
        if link is None:
            return
        key = _key(link, digest)
        if link.run((b"SET", key, server, b"PX", b"%d" % (seconds * 1000)), _ignore):
            link.ask_and_watch(key, _ignore)

    def changed(self, digest: bytes) -> None:
        """Ask where a session is now, if this machine knows it: another one has said something of it."""
        link = None if self.fleet is None else self.fleet.link
        if link is not None and self.known is not None and self.known.knows(digest):
            link.ask_and_watch(_key(link, digest), lambda reply: self._heard(digest, reply))

    def _heard(self, digest: bytes, reply: list[Reply] | None) -> None:
        server = _server(reply)
        if server is not None and self.known is not None:
            self.known.correct(digest, server)


def _server(reply: list[Reply] | None) -> bytes | None:
    server = reply[0] if reply else None
    return server if isinstance(server, bytes) and len(server) == _LENGTH else None


def _key(link: Link, digest: bytes) -> bytes:
    return link.options.base + b":s:" + digest


def _ignore(told: object) -> None:
    return None
