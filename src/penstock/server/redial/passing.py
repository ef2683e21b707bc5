"""The bytes of a WebSocket that may go on with another backend: what passes, and what is kept while nobody takes it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from penstock.net.relay.held import put_held
from penstock.net.relay.tunnel import Send, Tunnel
from penstock.server.redial.tap import tapping_kept
from penstock.server.websocket.fairness import share
from penstock.server.websocket.heartbeat import Heartbeat
from penstock.server.websocket.session import Conversation
from penstock.server.websocket.tap import tapping
from penstock.websocket.direction import Direction
from penstock.websocket.redial.bridge import Bridge
from penstock.websocket.redial.states import HELD, LEAVING, OVER
from penstock.websocket.redial.way import BackendWay, ClientWay

if TYPE_CHECKING:
    from penstock.net.relay.side import Side as Half
    from penstock.server.redial.absence import Absence
    from penstock.server.redial.origin import KeptHandshake
    from penstock.server.tunnel.ending import Ending
    from penstock.websocket.redial.terms import RedialTerms
    from penstock.websocket.terms import Terms


class KeptConversation(Conversation):
    """`origin` is the handshake. What is under way of a redial is its `absence`. `retapped` is called when the taps are
    new, if somebody looks on, who has to stand before them again."""

    __slots__ = ("absence", "bridge", "origin", "redials", "retapped")

    up: ClientWay
    down: BackendWay

    def __init__(self, terms: Terms, ending: Ending, origin: KeptHandshake) -> None:
        super().__init__(terms, ending)
        assert terms.redial is not None
        self.up = ClientWay(terms.from_client)
        self.down = BackendWay(self.up, terms.redial.codes, terms.from_backend)
        self.heart = Heartbeat(terms, self.up, self.down)
        self.bridge = Bridge(self.up, self.down, terms.redial.buffer)
        self.origin = origin
        self.redials = 0
        self.absence: Absence | None = None
        self.retapped: Callable[[], None] | None = None

    @property
    def redial(self) -> RedialTerms:
        """Return what its location wants of a redial."""
        terms = self.terms.redial
        assert terms is not None
        return terms

    @property
    def portable(self) -> bool:
        """Return whether another process can go on with it."""
        return self.absence is None and super().portable

    @property
    def held(self) -> bool:
        """Return whether it has no backend."""
        return self.bridge.state is HELD

    def attach(self, tunnel: Tunnel) -> None:
        """Begin, before any byte moves."""
        self.bridge.begin(len(tunnel.backend.unsent or b""))
        super().attach(tunnel)

    @property
    def steps(self) -> bool:
        """Return that every message is kept until it is taken."""
        return False

    def _tap(self, tunnel: Tunnel) -> None:
        tunnel.tap(tunnel.client, tapping_kept(self.up, self.bridge, self._pass))
        tunnel.tap(tunnel.backend, tapping(self.down, self._pass))
        if self.retapped is not None:
            self.retapped()

    # -- bytes

    def _pass(self, way: Direction, view: memoryview, send: Send) -> int:
        bridge = self.bridge
        if way is not self.up or bridge.state is OVER:
            return super()._pass(way, view, send)
        tunnel = self.tunnel
        assert tunnel is not None
        before = way.costly
        out = way.feed(view, tunnel.loop.timers.now)
        share(tunnel.client, way.costly - before)
        size = len(view)
        if len(out):
            bridge.passing(out)
            if out is view and not way.news:
                sent = send(view)
                bridge.untaken_is(size - sent)
                size = sent
            else:
                tunnel.inject(tunnel.backend, out)  # type: ignore[arg-type]
                if not tunnel.backend.deaf:
                    bridge.untaken_is(len(tunnel.backend.unsent or b""))
        if way.news:
            self._hear(way)
        if bridge.state is LEAVING and bridge.rested:
            self._hurry()
        return size

    def _keep(self, view: memoryview) -> int:
        """Take what the client says while nobody else does."""
        tunnel, absence, up, bridge = self.tunnel, self.absence, self.up, self.bridge
        assert tunnel is not None
        before = up.costly
        out = up.feed(view, tunnel.loop.timers.now)
        share(tunnel.client, up.costly - before)
        if absence is not None and bridge.holding and len(out):
            answer = bridge.hold(out)
            old = None if absence.held is None else absence.held.old
            if bridge.state is HELD:
                self._pong()
            elif answer and old is not None and old.unsent is None and absence.parted == inf:
                # One that takes nothing gets no more: nobody would stop the client from saying ever more of it.
                tunnel.inject(old, answer)
            if bridge.full and absence.held is not None:
                absence.held.stop_client()
        if up.news:
            self._hear(up)
        return len(view)

    def _pong(self) -> None:
        """Answer the client's last ping, if it takes what it is sent: one that does not has its answer later."""
        tunnel = self.tunnel
        if tunnel is not None and tunnel.client.unsent is None and (pong := self.bridge.pong()):
            tunnel.inject(tunnel.client, pong)

    def hold_client(self, absence: Absence) -> None:
        """Put nobody in the backend's place; what the client says is kept, and nobody is pinged there."""
        tunnel = self.tunnel
        assert tunnel is not None
        if absence.held is None:
            absence.held = put_held(tunnel)
        tunnel.client.send_peer = self._keep
        if self.retapped is not None:
            self.retapped()
        self.heart.backend.every = self.heart.backend.asked = 0.0

    def _hurry(self) -> None:
        if self.absence is not None:
            self.absence.due = 0.0
        self._soon()

    def drained(self, side: Half) -> None:
        """Do what `TunnelGuard.drained` says."""
        bridge, tunnel = self.bridge, self.tunnel
        if tunnel is None or bridge.state is OVER:
            return
        if side is tunnel.client:
            if bridge.state is HELD:
                self._pong()
        elif side is tunnel.backend and not bridge.holding:
            bridge.untaken_is(0)
            if bridge.state is LEAVING:
                self._hurry()

    def refused(self, side: Half, untaken: int) -> None:
        """Do what `TunnelGuard.refused` says."""
        tunnel = self.tunnel
        if tunnel is not None and side is tunnel.backend:
            self.bridge.refused(untaken)
        super().refused(side, untaken)
