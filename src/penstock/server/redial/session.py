"""A WebSocket that goes on with another backend when its own is lost, or when it is to be left.

    client --- up ---> backend        what is kept, and what goes to whom, is in `websocket/redial/bridge.py`
    client <-- down -- backend        how it stands, in `websocket/redial/states.py`

While there is no backend, a `HeldSide` is in its place (`net/relay/held.py`), and an `Absence` says how far the search
is. Nothing here closes a side while that is at work: that is left to the alarm.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from penstock.modules.proxy.redial import add_tried
from penstock.modules.websocket.redial import RedialNote
from penstock.net.relay.held import put_back, put_backend
from penstock.net.relay.tunnel import End, Tunnel
from penstock.observe.errorlog import INFO, NOTICE, WARN
from penstock.server.redial.absence import LOST as WHY_LOST
from penstock.server.redial.absence import MOVED, Absence, NoBackend, parts_of
from penstock.server.redial.leaving import leave
from penstock.server.redial.passing import KeptConversation
from penstock.server.redial.search import PeerSearch
from penstock.server.websocket.losses import OF_CLIENT
from penstock.websocket.close_reasons import ABNORMAL, Why
from penstock.websocket.direction import ANSWERED, CLOSED, Direction
from penstock.websocket.frames import NO_CODE, close_frame
from penstock.websocket.redial.states import CALLING, CONNECTED, FAILED, GOODBYE, HELD, JOINED, LEAVING, MOVE, OVER
from penstock.websocket.redial.way import LEFT

if TYPE_CHECKING:
    from penstock.net.relay.held import HeldSide
    from penstock.net.relay.side import Side as Half
    from penstock.upstream.exchange.upgrade import Parts, Upgrade

AWAITED = (JOINED, CALLING, LEAVING)
"""In these states the loss of the backend's side is a loss."""


class RedialConversation(KeptConversation):
    """`redials` counts the backends after the first one."""

    __slots__ = ()

    @property
    def portable(self) -> bool:
        """Return whether another process can go on with it."""
        return self.absence is None and super().portable

    @property
    def may_move(self) -> bool:
        """Return whether it has a backend, and may have another."""
        return self.bridge.state is JOINED and self.close_code is None

    @property
    def moving(self) -> bool:
        """Return whether it is being given another backend while it has one."""
        return self.bridge.state in (CALLING, LEAVING)

    @property
    def address(self) -> Parts:
        """Return where its backend is; nothing where there is none."""
        return () if self._ending is None else parts_of(self._ending.upgraded)

    def _hear(self, way: Direction) -> None:
        bridge, tunnel = self.bridge, self.tunnel
        if tunnel is None or tunnel.reason is not None:
            way.news = 0
            return
        if way.news & LEFT:
            way.news &= ~LEFT
            absence = self.absence
            if absence is not None and absence.held is not None:
                self.departed()
            else:
                way.news = 0
                if not self._lose(tunnel.backend, self.down.left_with):
                    # It is inside of a message that will not be whole: there is no place for an answer either.
                    self.end(Why.REDIAL_FAILED, dead=tunnel.backend)
        elif way.news & CLOSED and bridge.state is not OVER and (way is self.down or not bridge.holding):
            self._give_up()
        elif way.news & ANSWERED and bridge.state is LEAVING:
            self._hurry()
        if way.news:
            super()._hear(way)

    # -- a loss

    def ends(self, reason: End, side: Half | None) -> bool:
        """Do what `TunnelGuard.ends` says: a backend that is lost may be followed by another."""
        tunnel = self.tunnel
        if tunnel is None or self._farewell is not None:
            return super().ends(reason, side)
        held = None if self.absence is None else self.absence.held
        if held is not None:
            if side is not None and side is held.old:
                self.departed()
                return True
            if reason not in OF_CLIENT:
                return True
        elif side is not tunnel.client and reason not in OF_CLIENT and reason is not End.IDLE and self._is_awaited():
            if ABNORMAL in self.redial.codes and self._lose(tunnel.backend, ABNORMAL):
                return True
            if self.bridge.state is OVER and self.close_code is None:
                self.end(Why.REDIAL_FAILED, dead=tunnel.backend, final=reason)
                return True
        return super().ends(reason, side)

    def _is_awaited(self) -> bool:
        return self.bridge.state in AWAITED and self.close_code is None

    def _silent(self, side: Half) -> None:
        tunnel = self.tunnel
        assert tunnel is not None
        if side is tunnel.client or not self._is_awaited() or not self._lose(side, ABNORMAL):
            super()._silent(side)

    def _lose(self, side: Half, code: int) -> bool:
        """Hold the client where that can be done: nothing that it says goes to `side` from here on."""
        tunnel, bridge = self.tunnel, self.bridge
        assert tunnel is not None
        if not bridge.lose(len(side.unsent or b"")):
            return False
        now = tunnel.loop.timers.now
        why = WHY_LOST if code == ABNORMAL else str(code)
        absence = self.absence
        if absence is None or bridge.state is HELD:
            if absence is not None:
                self._stop(absence)
            absence = self.absence = Absence(why, now, now + self.redial.timeout)
        if code != ABNORMAL:
            tunnel.inject(side, close_frame(code if code != NO_CODE else None, mask=os.urandom(4)))
        absence.departed = bridge.state is JOINED
        self.hold_client(absence)
        if bridge.state is HELD:
            absence.lost = self.address
            self._give_back(tunnel)
            self._pong()
            self._log(INFO, f"upstream is lost ({why}), its client is held (websocket_redial)")
        self._hurry()
        return True

    def departed(self) -> None:
        """Go on with the next backend: the one that is being left has said its last."""
        absence = self.absence
        assert absence is not None
        if absence.departed or self.bridge.state is not LEAVING:
            return
        if self.bridge.lose(0):
            absence.departed = True
            self._hurry()
        else:
            self.end(Why.REDIAL_FAILED, dead=absence.held)

    def _give_back(self, tunnel: Tunnel) -> None:
        """Give the slot of the peer back that is lost."""
        ending = self._ending
        if ending is not None and not isinstance(ending.upgraded, NoBackend):
            lost = ending.upgraded
            ending.upgraded = NoBackend(lost)  # type: ignore[assignment]
            lost.ended(tunnel.from_client, tunnel.from_backend)

    # -- another backend

    def change_backend(self, avoided: frozenset[Parts], instead: Callable[[], None] | None = None) -> bool:
        """Begin to look for another backend, which is none of these, while this one serves.

        `instead` is done if there is none. Return whether it has begun: not where it is closing, or moves already."""
        tunnel = self.tunnel
        if tunnel is None or tunnel.reason is not None or tunnel.paused or self._farewell is not None:
            return False
        if self.bridge.state is not JOINED or self.close_code is not None:
            return False
        self.bridge.happened(MOVE)
        now = tunnel.loop.timers.now
        self.absence = Absence(MOVED, now, now + self.redial.timeout, instead)
        self._call(avoided | {self.address}, strict=True)
        self.plan()
        return True

    def _call(self, avoided: frozenset[Parts], *, strict: bool) -> None:
        absence, ending, tunnel = self.absence, self._ending, self.tunnel
        assert absence is not None and ending is not None and tunnel is not None
        note = RedialNote(self.redials + 1, absence.why)
        tried = absence.tried
        search = PeerSearch(self.origin, tunnel.loop, self.redial, note, avoided, tried, self._reauth, strict=strict)
        absence.call = search
        search.begin(self._found, self._failed, self._refused)

    def _found(self, upgrade: Upgrade) -> None:
        absence = self.absence
        if absence is None or self.tunnel is None:
            upgrade.close()
            return
        absence.found, absence.call = upgrade, None
        if self.bridge.state is CALLING:
            self.bridge.happened(CONNECTED)
            now = self.tunnel.loop.timers.now
            absence.deadline = now + self.redial.timeout
        self._hurry()

    def _failed(self, words: str) -> None:
        """Nobody was found in time."""
        absence, tunnel = self.absence, self.tunnel
        if absence is None or tunnel is None:
            return
        took = tunnel.loop.timers.now - absence.began
        state = self.bridge.happened(FAILED)
        self._count("failed")
        if state is OVER:
            self._log(WARN, f"no upstream goes on with a WebSocket after {took:.1f}s: {words} (websocket_redial)")
            self.end(Why.REDIAL_FAILED, dead=tunnel.backend)
            return
        self._log(NOTICE, f"a WebSocket stays where it is, no other upstream takes it: {words}")
        self.absence = None
        self._stop(absence)
        if absence.instead is not None:
            absence.instead()
        self.plan()

    def _refused(self) -> None:
        tunnel = self.tunnel
        if tunnel is not None:
            self._log(INFO, f"websocket_reauth: {self.terms.reauth_uri} refuses a redial, closing the tunnel")
            self.end(Why.REAUTH, self.terms.reauth_code, text="no longer authorized", offender=tunnel.client)

    # -- what has its time

    def plan(self, retry: float = inf) -> None:
        """Set the alarm to what is due next, as `Conversation.plan` does."""
        super().plan(retry)
        absence, alarm = self.absence, self._alarm
        if absence is not None and alarm is not None and self._goes_on():
            alarm.at(min(alarm.deadline, absence.due))

    def _due(self) -> None:
        tunnel, absence = self.tunnel, self.absence
        if absence is not None and tunnel is not None and self._goes_on() and absence.due <= tunnel.loop.timers.now:
            absence.due = absence.deadline
            self._attend(absence, tunnel)
        super()._due()

    def _goes_on(self) -> bool:
        tunnel = self.tunnel
        here = tunnel is not None and tunnel.reason is None and not tunnel.paused
        return here and self._farewell is None and self._parting is None

    def _attend(self, absence: Absence, tunnel: Tunnel) -> None:
        """Do what is due of a redial."""
        state, held, now = self.bridge.state, absence.held, tunnel.loop.timers.now
        if state is LEAVING:
            leave(self, absence, tunnel, now)
            return
        if held is not None:
            held.drop_old()
            if absence.found is not None:
                self._join(absence, tunnel, held, absence.found)
                return
        if now >= absence.deadline:
            self._stop(absence)
            self._failed("there is no more time")
        elif absence.call is None and state is HELD:
            self._call(frozenset({absence.lost}), strict=False)

    def stay(self, absence: Absence) -> None:
        """Leave nobody: the client does not come to the end of a message."""
        self.bridge.stay()
        self.absence = None
        self._stop(absence)
        self._count("stayed")
        if absence.instead is not None:
            absence.instead()

    def _join(self, absence: Absence, tunnel: Tunnel, held: HeldSide, upgrade: Upgrade) -> None:
        """Go on with another backend."""
        ending, bridge, terms = self._ending, self.bridge, self.terms
        stream, rest = upgrade.stream, upgrade.rest
        assert ending is not None and stream is not None
        self.absence = absence.found = None
        self._give_back(tunnel)
        ending.attempts = add_tried(ending.attempts or [], absence.tried)
        ending.upgraded = upgrade
        ending.body_bytes_sent += len(rest)
        upgrade.count_from(tunnel.from_client, tunnel.from_backend)
        upgrade.release()
        kept = bridge.join()
        mask, answered = put_backend(tunnel, held, stream, upgrade.send_timeout)
        self._tap(tunnel)
        self.down.leaves = self.redial.codes
        self.heart.backend.every = terms.ping if terms.ping_backend else 0.0
        self.redials += 1
        self._count("moved" if absence.why == MOVED else "continued")
        took = tunnel.loop.timers.now - absence.began
        self._log(INFO, f"a WebSocket goes on with another upstream after {took:.1f}s ({absence.why})")
        tunnel.backend.start(mask)
        tunnel.client.settle()
        tunnel.start()
        self._pong()
        if self.redial.announce:
            tunnel.inject(tunnel.client, self.redial.announce)
        if kept:
            tunnel.inject(tunnel.backend, kept)
            if not tunnel.backend.deaf:
                bridge.untaken_is(len(tunnel.backend.unsent or b""))
        if tunnel.reason is None and (rest or answered):
            tunnel.backend.send_on(rest + answered)
        if tunnel.reason is None and tunnel.backend.buffered():
            tunnel.backend.move()
        if self.up.close_code is not None and bridge.state is JOINED:
            bridge.happened(GOODBYE)
            bridge.give_up()
        self.plan()

    # -- the end

    def _stop(self, absence: Absence) -> None:
        """Look for nobody any more. Who was tried in vain stands before the one that serves, which stays the last."""
        absence.stop()
        ending, tried = self._ending, absence.tried
        if ending is not None and tried:
            absence.tried = []
            serves = not isinstance(ending.upgraded, NoBackend)
            ending.attempts = add_tried(ending.attempts or [], tried, serves=serves)

    def _give_up(self) -> None:
        """Give up redialling, and go on with whoever there is. One that is being left, and was not told so, is the
        backend again."""
        tunnel, bridge = self.tunnel, self.bridge
        absence, self.absence = self.absence, None
        held = None if absence is None else absence.held
        if absence is not None:
            self._stop(absence)
        if held is not None and absence is not None and tunnel is not None:
            if bridge.state is LEAVING and held.old is not None and absence.parted == inf:
                kept = bridge.stay()
                put_back(tunnel, held)
                self._tap(tunnel)
                if kept:
                    tunnel.inject(tunnel.backend, kept)
            else:
                held.ended, held.unsent = True, None
                self._tap(tunnel)
        bridge.give_up()

    def over(self, tunnel: Tunnel, reason: End) -> None:
        """Keep only the figures: the tunnel has ended."""
        absence, self.absence = self.absence, None
        if absence is not None:
            self._stop(absence)
        self.bridge.give_up()
        self.retapped = None
        super().over(tunnel, reason)

    def _count(self, result: str) -> None:
        meters = None if self._ending is None else self._ending.service.meters
        if meters is not None:
            meters.redialled(result)
