"""Sessions that several machines know: `sticky learn ... sync`.

What this machine knows (the zone) comes first. Others are asked, once for a request, when it knows nothing of a
session, or its server can not be had: another machine may have put the session elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from penstock.upstream.peers.sticky import Sticky, StickySelection, StickySessions, short

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.shared.zone import Zone
    from penstock.upstream.peers.balancers import PeerSelection
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer

PARTS = 4
"""Of its timeout: others are told once in each part in which a session is used that it still is, and remember it for
one part longer."""


class SessionsBeyond(Protocol):
    """What other machines know. Digests of 16 bytes stand for sessions, such of 8 for their servers."""

    @property
    def there(self) -> bool:
        """Return whether they can be asked now."""

    def digest(self, session: str) -> bytes:
        """Return what stands for a session on every machine."""

    async def ask(self, digest: bytes) -> bytes | None:
        """Ask for the server of a session. None where nobody knows, or nobody says so in time."""

    def say(self, digest: bytes, server: bytes, seconds: float) -> None:
        """Say where a session is, for so long."""


class SharedSessions(StickySessions):
    """The sessions that this machine knows, and who knows more."""

    __slots__ = ("beyond",)

    def __init__(self, zone: Zone, timeout: float, beyond: SessionsBeyond) -> None:
        super().__init__(zone, timeout)
        self.beyond = beyond

    def hear(self, session: str, server: bytes, now: float) -> None:
        """Take another machine's word. Its first use here will be told."""
        with self.zone:
            self._put(self._digest(session), server, now - self.timeout / PARTS)

    def knows(self, digest: bytes) -> bool:
        """Return whether this machine knows something of a session."""
        own = self._own(digest)
        with self.zone:
            return self._found(own) is not None

    def correct(self, digest: bytes, server: bytes) -> None:
        """Take the word of another machine that has put a session elsewhere, if this one knows the session."""
        own = self._own(digest)
        with self.zone:
            found = self._found(own)
            if found is not None:
                self._put(own, server, found[1])

    def _digest(self, session: str) -> bytes:
        return self._own(self.beyond.digest(session))

    def _own(self, digest: bytes) -> bytes:
        return self.zone.digest(digest.decode("latin-1"))  # so that nobody outside can choose the window

    def _note(self, session: str, server: str, now: float, *, create: bool) -> None:
        before = self._known(session, now)
        super()._note(session, server, now, create=create)
        if before is None and not create:
            return
        found, part = short(server), self.timeout / PARTS
        if before is None or before[0] != found or before[1] // part != now // part:
            self.beyond.say(self.beyond.digest(session), found, self.timeout + part)

    def _known(self, session: str, now: float) -> tuple[bytes, float] | None:
        """The server of a session and when it was used last, if this machine knows."""
        with self.zone:
            found = self._found(self._digest(session))
        return found if found is not None and now - found[1] <= self.timeout else None


class SharedSticky(Sticky):
    """The balancer of sessions that several machines know."""

    __slots__ = ()
    sessions: SharedSessions

    def __call__(self, group: Group, request: Request) -> PeerSelection:
        return SharedStickySelection(self, self.balancer(group, request), request)


class SharedStickySelection(StickySelection):
    """A selection that has nobody for a session of which others have to be asked first: `ask`."""

    __slots__ = ("_asked",)
    _sticky: SharedSticky

    def __init__(self, sticky: Sticky, inner: PeerSelection, request: Request) -> None:
        super().__init__(sticky, inner, request)
        self._asked = not self._choice.session

    def next(self, now: float) -> Peer | None:
        """Take the session's server if it may be tried, or the balancer's choice."""
        return None if self.has_to_ask(now) else super().next(now)

    def last_resort(self, now: float) -> Peer | None:
        """Take the session's server, if it may be tried at all, or the balancer's choice."""
        return None if self.has_to_ask(now) else super().last_resort(now)

    def has_to_ask(self, now: float) -> bool:
        """Return whether others have to be asked where the session is."""
        if self._asked:
            return False
        if not self._sticky.sessions.beyond.there:
            self._asked = True
            return False
        return self._of_session(now) is None

    async def ask(self, now: float) -> None:
        """Ask others where the session is."""
        self._asked = True
        sessions, session = self._sticky.sessions, self._choice.session
        server = await sessions.beyond.ask(sessions.beyond.digest(session))
        if server is not None:
            sessions.hear(session, server, now)
