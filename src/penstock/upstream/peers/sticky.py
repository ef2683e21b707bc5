"""Requests of one session go to one server: by a cookie of ours, by what a request tells, or by what was learned.

nginx: ngx_http_upstream_sticky_module. A server is known by its route, or else by the MD5 of its address. A session
that names a server which may not be used, or none, is left to the balancer of the group.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from hashlib import blake2b, md5
from typing import TYPE_CHECKING, Any

from penstock.config.key import Key
from penstock.upstream.peers.balancers import Balancer, PeerSelection
from penstock.upstream.peers.slow_start import starting_slowly

if TYPE_CHECKING:
    from penstock.config.variables import Template
    from penstock.http.request import Request
    from penstock.shared.zone import Zone
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer, PeerSet

CONTEXT: Key[dict[Sticky, StickyChoice]] = Key("sticky")
"""Under what a request keeps the `StickyChoice` made for it."""

_SESSION = struct.Struct("<8sd")


def server_id(peer: Peer) -> str:
    """Return what sessions call a server: its `route`, or the MD5 of its address."""
    return peer.options.route or md5(peer.name.encode("latin-1"), usedforsecurity=False).hexdigest()


class StickyChoice:
    """The server that was chosen for a request, by what it is called, and the session that the request named."""

    __slots__ = ("server", "session")

    def __init__(self, session: str) -> None:
        self.session = session
        self.server = ""


class StickySessions:
    """The sessions and their servers, shared by all workers: digests of both, and when the session was used last."""

    __slots__ = ("timeout", "zone")

    def __init__(self, zone: Zone, timeout: float) -> None:
        self.zone = zone
        self.timeout = timeout

    def server(self, session: str, now: float) -> bytes | None:
        """Return the digest of a session's server."""
        digest = self._digest(session)
        with self.zone:
            found = self._found(digest)
            if found is None:
                return None
            server, used = found
            if now - used > self.timeout:
                self.zone.remove(self.zone.find(digest))
                return None
        return server

    def learn(self, session: str, server: str, now: float) -> None:
        """Note that the session is at this server."""
        self._note(session, server, now, create=True)

    def refresh(self, session: str, server: str, now: float) -> None:
        """Note that the session is at this server, if it is known at all."""
        self._note(session, server, now, create=False)

    def _note(self, session: str, server: str, now: float, *, create: bool) -> None:
        digest = self._digest(session)
        with self.zone:
            found = self._found(digest)
            if found is not None and not create and now - found[1] > self.timeout:
                self.zone.remove(self.zone.find(digest))
            elif found is not None or create:
                self._put(digest, short(server), now)

    def _digest(self, session: str) -> bytes:
        return self.zone.digest(session)

    # -- with the lock held

    def _found(self, digest: bytes) -> tuple[bytes, float] | None:
        at = self.zone.find(digest)
        return None if at < 0 else self._read(self.zone.read(at, _SESSION))

    def _put(self, digest: bytes, server: bytes, used: float) -> None:
        zone = self.zone
        value = _SESSION.pack(server, used)
        at = zone.find(digest)
        if at >= 0:
            zone.write(at, value)
        elif zone.put(digest, value) < 0:
            moments = {place: self._read(_SESSION.unpack(each))[1] for place, each in zone.neighbours(digest)}
            zone.remove(min(moments, key=moments.__getitem__))
            zone.put(digest, value)

    @staticmethod
    def _read(value: tuple[Any, ...]) -> tuple[bytes, float]:
        server, used = value
        return server, used


def short(server: str) -> bytes:
    """Return what stands for a server in the table of sessions."""
    return blake2b(server.encode("latin-1"), digest_size=8).digest()


class Sticky:
    """The balancer of `sticky`, over the balancer of a group.

    `lookup` are templates of which the first that is not empty names the session (or the server, where there are no
    `sessions`); `create` likewise names a session to learn. `cookie` makes the value of Set-Cookie from a server.
    """

    __slots__ = ("_known", "after_header", "balancer", "cookie", "create", "lookup", "sessions")

    def __init__(
        self,
        lookup: Sequence[Template],
        *,
        create: Sequence[Template] = (),
        sessions: StickySessions | None = None,
        after_header: bool = False,
        cookie: Callable[[Request, str], str] | None = None,
    ) -> None:
        self.balancer: Balancer = PeerSelection
        self.lookup = tuple(lookup)
        self.create = tuple(create)
        self.sessions = sessions
        self.after_header = after_header
        self.cookie = cookie
        self._known: dict[int, tuple[PeerSet, dict[str, Peer], dict[bytes, Peer]]] = {}

    def __call__(self, group: Group, request: Request) -> PeerSelection:
        return StickySelection(self, self.balancer(group, request), request)

    def slowly(self) -> Sticky:
        """Be over a balancer for servers that start slowly."""
        self.balancer = starting_slowly(self.balancer)
        return self

    def wanted(self, session: str, peers: PeerSet, now: float) -> Peer | None:
        """Return the server of a session among these peers."""
        names, digests = self._names(peers)
        if self.sessions is None:
            return names.get(session)
        server = self.sessions.server(session, now)
        return None if server is None else digests.get(server)

    def learn(self, request: Request, choice: StickyChoice, now: float) -> None:
        """Remember where the session is."""
        sessions = self.sessions
        if sessions is None or not choice.server:
            return
        created = first(self.create, request)
        if created:
            sessions.learn(created, choice.server, now)
        elif choice.session:
            sessions.refresh(choice.session, choice.server, now)

    def _names(self, peers: PeerSet) -> tuple[dict[str, Peer], dict[bytes, Peer]]:
        known = self._known.get(id(peers))
        if known is None or known[0] is not peers:
            names: dict[str, Peer] = {}
            for peer in peers.peers:
                names.setdefault(server_id(peer), peer)
            if len(self._known) > 1:
                self._known.clear()  # of a group that has changed
            known = self._known[id(peers)] = (peers, names, {short(name): peer for name, peer in names.items()})
        return known[1], known[2]


class StickySelection(PeerSelection):
    """A selection that tries the server of the session first, and then what the balancer of the group chooses."""

    __slots__ = ("_choice", "_inner", "_sticky")

    def __init__(self, sticky: Sticky, inner: PeerSelection, request: Request) -> None:
        self._sticky = sticky
        self._inner = inner
        self.request: Request | None = request
        self.group = inner.group
        self._choice = request.context(CONTEXT, dict)[sticky] = StickyChoice(first(sticky.lookup, request))

    @property
    def tries(self) -> int:
        """Return how many attempts are left."""
        return self._inner.tries

    @tries.setter
    def tries(self, value: int) -> None:
        self._inner.tries = value

    @property
    def tried(self) -> list[Peer] | None:
        """Return those that have been tried."""
        return self._inner.tried

    @tried.setter
    def tried(self, value: list[Peer] | None) -> None:
        self._inner.tried = value

    def next(self, now: float) -> Peer | None:
        """Take the session's server if it may be tried, or the balancer's choice."""
        inner = self._inner
        peer = self._of_session(now) if self._choice.session else None
        if peer is not None:
            if not inner.set.single:
                self._charge(peer, inner.set, now)
                inner.tried = [peer] if inner.tried is None else [*inner.tried, peer]
            peer.active += 1
            peer.served += 1
        else:
            peer = inner.next(now)
        if peer is not None:
            self._choice.server = server_id(peer)
        return peer

    def last_resort(self, now: float) -> Peer | None:
        """Take the session's server, if it may be tried at all, or the balancer's choice."""
        inner = self._inner
        peer = self._known_to_session(now) if self._choice.session else None
        if peer is None:
            peer = inner.last_resort(now)
        else:
            inner.resort_to(peer, now)
        if peer is not None:
            self._choice.server = server_id(peer)
        return peer

    def _known_to_session(self, now: float) -> Peer | None:
        tried = self._inner.tried or ()
        for peers in (self.group.primary, self.group.backup):
            peer = None if peers is None else self._sticky.wanted(self._choice.session, peers, now)
            if peer is not None and peer not in tried and peer.bare():
                return peer
        return None

    def _of_session(self, now: float) -> Peer | None:
        inner = self._inner
        peer = self._sticky.wanted(self._choice.session, inner.set, now)
        if peer is not None and self._fit(peer, now):
            return peer
        backup = self.group.backup
        if backup is None or inner.set is backup:
            return None
        tried = inner.tried
        if any(each.available(now) and (tried is None or each not in tried) for each in inner.set.peers):
            return None
        inner.set = backup
        return self._of_session(now)

    def _fit(self, peer: Peer, now: float) -> bool:
        """Return what `Peer.available` says, but a server that is being drained still has its sessions."""
        options = peer.options
        if options.down or not peer.sound or (self._inner.tried is not None and peer in self._inner.tried):
            return False
        if options.max_fails and peer.fails >= options.max_fails and now - peer.checked <= options.fail_timeout:
            return False
        return not options.max_conns or peer.active < options.max_conns

    def _charge(self, chosen: Peer, peers: PeerSet, now: float) -> None:
        """Let round robin know: who is visited by sessions gets fewer of the rest, for one round at most."""
        if now - chosen.checked > chosen.options.fail_timeout:
            chosen.checked = now
        if type(self._inner) is not PeerSelection or chosen.current_weight <= chosen.weight - peers.weight:
            return
        tried = self._inner.tried
        total = 0
        for peer in peers.peers:
            if not peer.available(now) or (tried is not None and peer in tried):
                continue
            weight = peer.effective_weight
            peer.current_weight += weight
            total += weight
            if weight < peer.weight:
                peer.effective_weight = weight + 1
        chosen.current_weight -= total

    def failed(self, peer: Peer, now: float) -> bool:
        """Do as the balancer does."""
        return self._inner.failed(peer, now)

    def passed_over(self, peer: Peer) -> None:
        """Do as the balancer does."""
        self._inner.passed_over(peer)

    def stale(self, peer: Peer) -> None:
        """Do as the balancer does."""
        self._inner.stale(peer)

    def begin_again(self) -> None:
        """Do as the balancer does."""
        self._inner.begin_again()

    def make_final(self, peer: Peer) -> None:
        """Learn the session: a tunnel has begun, and it is known from now on, not when it ends."""
        self._learn()
        self._inner.make_final(peer)
        self.request = None

    def done(self, peer: Peer) -> None:
        """Learn that the session is at this server: it went well."""
        self._learn()
        self._inner.done(peer)

    def _learn(self) -> None:
        if self.request is not None and not self._sticky.after_header:
            self._sticky.learn(self.request, self._choice, self.request.connection.service.timers.now)


def first(templates: Sequence[Template], request: Request) -> str:
    """Return the first that is not empty."""
    for each in templates:
        text = each.evaluate(request)
        if text:
            return text
    return ""
