"""A WebSocket conversation in a tunnel: what happens in it, what has its time, and how it comes to its end.

    client --- up ---> backend        each direction is a `Direction`, whose bytes pass in `watching.py`
    client <-- down -- backend

Its figures are in `figures.py`, its pings in `heartbeat.py`, its states in `states.py`; what the end of a connection
means is in `losses.py`, and how it says goodbye, where that is not the peers' own doing, in `closing.py`. Nothing here
closes the tunnel while one of its sides is at work: that is left to the alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from random import random
from typing import TYPE_CHECKING

from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.timers import Alarm
from penstock.observe.errorlog import INFO, WARN, report
from penstock.server.websocket.closing import Farewell
from penstock.server.websocket.heartbeat import AGAIN, Heartbeat
from penstock.server.websocket.losses import OF_CLIENT, last_wait, loss_of
from penstock.server.websocket.states import ALIVE, SessionState
from penstock.server.websocket.watching import FrameWatching
from penstock.websocket.close_reasons import ABNORMAL, RESTART, Why
from penstock.websocket.direction import ANSWERED, BLIND, BROKEN, CLOSED, FINISHED, Direction
from penstock.websocket.frames import FrameSender
from penstock.websocket.terms import Terms

if TYPE_CHECKING:
    from penstock.net.relay.side import Side as Half
    from penstock.server.tunnel.ending import Ending
    from penstock.server.websocket.reauth import Reauth


class Conversation(FrameWatching):
    """`terms` is what its location wants, `up` what comes from the client, `down` what comes from the backend.

    "in" is from the client, "out" to it. Counters stay readable when it is over. `close_code` and `close_from`
    ("client", "backend" or "proxy") tell of the close frame that began the end, 1006 of an end without one;
    `end_reason` is a short word (`websocket.endings`), "" while it lives. `compressed`: permessage-deflate was agreed
    on; `rsv` are the reserved bits that an extension uses. `until` is when it ends by the clock.
    """

    __slots__ = (
        "_alarm",
        "_ending",
        "_farewell",
        "_parting",
        "_reauth",
        "close_code",
        "close_from",
        "compressed",
        "end_reason",
        "rsv",
        "terms",
        "until",
    )

    def __init__(self, terms: Terms, ending: Ending, *, rsv: int = 0, compressed: bool = False) -> None:
        self.terms = terms
        self.compressed = compressed
        self.rsv = rsv
        self.up = Direction(FrameSender.CLIENT, rsv, terms.from_client, lenient=not terms.strict)
        self.down = Direction(FrameSender.SERVER, rsv, terms.from_backend, lenient=not terms.strict)
        self.heart = Heartbeat(terms, self.up, self.down)
        self.close_code: int | None = None
        self.close_from = ""
        self.end_reason = ""
        self.tunnel = None
        self._ending: Ending | None = ending
        self._alarm: Alarm | None = None
        self.until = inf
        self._farewell: Farewell | None = None
        self._parting: Callable[[], None] | None = None
        """The end, where it was asked for while the tunnel stood still."""
        self._reauth: Reauth | None = None

    @property
    def portable(self) -> bool:
        """Return whether another process can go on with it: not with a farewell, and not with questions about a request
        that is only here."""
        return self._farewell is None and self._parting is None and self._reauth is None

    @property
    def stage(self) -> SessionState:
        """Return how far the conversation is (`states.py`)."""
        if self.end_reason:
            return SessionState.CLOSED
        if self.tunnel is None:
            return SessionState.NEW
        if self._farewell is not None:
            return SessionState.ENDING
        if self._parting is not None:
            return SessionState.END_POSTPONED
        if self._both_closed():
            return SessionState.BOTH_GOODBYES
        return SessionState.OPEN if self.close_code is None else SessionState.ONE_GOODBYE

    @property
    def close_state(self) -> str:
        """Return "open", "closing" once a close frame has come or is to go, "closed"."""
        stage = self.stage
        return "closed" if stage is SessionState.CLOSED else "open" if stage in ALIVE else "closing"

    @property
    def client(self) -> Half | None:
        """Return the client's side of the tunnel, while there is one."""
        return None if self.tunnel is None or self.tunnel.reason is not None else self.tunnel.client

    # -- its life

    def attach(self, tunnel: Tunnel) -> None:
        """Begin, before any byte moves."""
        terms = self.terms
        if terms.lifetime and self.until == inf:
            self.until = tunnel.opened + terms.lifetime * (1 - terms.lifetime_jitter * random())
        self.tunnel = tunnel
        tunnel.guard = self
        self._tap(tunnel)
        self._alarm = Alarm(tunnel.loop.timers, self)
        self.plan()

    def ask_again(self, reauth: Reauth) -> None:
        """Let somebody else say, now and then, whether it may go on."""
        self._reauth = reauth

    def _hear(self, way: Direction) -> None:
        news, way.news = way.news, 0
        tunnel, alarm = self.tunnel, self._alarm
        if tunnel is None or alarm is None or tunnel.reason is not None:
            return
        if news & ANSWERED:
            pulse = self.heart.client if way is self.up else self.heart.backend
            again = self.heart.answered(pulse, tunnel.loop.timers.now)
            meters = None if self._ending is None else self._ending.service.meters
            if meters is not None and pulse.rtt is not None:
                meters.ponged(pulse.rtt)
            alarm.at(min(alarm.deadline, again))
        if news & CLOSED and self.close_code is None:
            self.close_code = way.close_code
            self.close_from = "client" if way is self.up else "backend"
        if news & CLOSED and self._farewell is None and self._both_closed():
            # The server closes the connection now (RFC 6455, 7.1.1), and has as long for it as for a close frame.
            self.until = tunnel.loop.timers.now + self.terms.close_timeout
            alarm.at(self.until)
            return
        if news & BROKEN and way.mode == BLIND:
            name = "client" if way is self.up else "upstream"
            self._log(INFO, f"these are no WebSocket frames, and are left alone: {way.wrong}, from the {name}")
        elif news & (CLOSED | BROKEN | FINISHED):
            alarm.set(0)

    # -- what has its time

    def plan(self, retry: float = inf) -> None:
        """Set the alarm to what is due next. `retry` is when a ping is tried again that found no room."""
        tunnel, alarm = self.tunnel, self._alarm
        if tunnel is None or alarm is None:
            return
        if self._farewell is not None:
            alarm.at(self._farewell.next_check)
            return
        if self._parting is not None:
            return  # its alarm is set
        due = self.until
        if self._may_ping():
            asked = self.heart.due(tunnel)
            now = tunnel.loop.timers.now
            due = min(due, asked if asked > now or retry == inf else retry)
        if self._reauth is not None:
            due = min(due, self._reauth.due)
        if due != inf:
            alarm.at(max(due, tunnel.loop.timers.now + 0.001))
        else:
            alarm.clear()

    def __call__(self) -> None:
        """See what is due. The alarm calls this, and so needs no bound method: 80 bytes less for each."""
        self._due()

    def _due(self) -> None:
        tunnel, alarm = self.tunnel, self._alarm
        if tunnel is None or alarm is None or tunnel.reason is not None:
            return
        if tunnel.paused:
            alarm.set(AGAIN)
            return
        if self._parting is not None:
            part, self._parting = self._parting, None
            part()
            return
        if self._farewell is not None:
            if self._farewell.go_on():
                tunnel.close(self._farewell.final)
            else:
                self.plan()
            return
        for way in (self.up, self.down):
            if way.broken is not None and way.mode != BLIND:
                self._broken(way)
                return
        now = tunnel.loop.timers.now
        if now >= self.until and self.close_code is not None:
            if tunnel.client.ended or tunnel.backend.ended:
                tunnel.close(End.CLIENT_CLOSED if self.close_from == "client" else End.BACKEND_CLOSED)
            else:
                self.end(Why.CLOSED)
            return
        if now >= self.until:
            self.end(Why.LIFETIME, self.terms.lifetime_code)
            return
        retry = inf
        if self._may_ping():
            gone, again = self.heart.check(tunnel, now)
            if gone is not None:
                self._silent(gone)
                return
            retry = now + again if again else inf
        if self._reauth is not None and now >= self._reauth.due:
            self._reauth.begin()
        self.plan(retry)

    def _may_ping(self) -> bool:
        """A conversation that is closing, or of which nothing can be told, is not asked any more."""
        return self.close_code is None and self.up.mode != BLIND and self.down.mode != BLIND

    def _silent(self, side: Half) -> None:
        tunnel = self.tunnel
        assert tunnel is not None
        client = side is tunnel.client
        name, pulse = ("client", self.heart.client) if client else ("upstream", self.heart.backend)
        what = "took nothing of what it was sent" if pulse.mute else "did not answer a ping"
        self._log(
            INFO if client else WARN,
            f"{name} {what} within {pulse.patience:g}s, closing the tunnel (websocket_ping)",
        )
        self.end(Why.CLIENT_SILENT if client else Why.BACKEND_SILENT, dead=side)

    def _broken(self, way: Direction) -> None:
        tunnel, why = self.tunnel, way.broken
        assert tunnel is not None and why is not None
        client = way is self.up
        name = "client" if client else "upstream"
        if self.close_code is not None:
            # The other side has said goodbye, and this was to be the answer.
            self._log(INFO, f"{name} answered a close frame with what is none: {way.wrong}")
            self.end(Why.CLOSED)
            return
        what = f"{name} broke the WebSocket protocol" if why is Why.PROTOCOL else f"{name} broke a limit"
        self._log(WARN, f"{what}: {way.wrong}, closing the tunnel with {why.code}")
        self.end(why, offender=tunnel.client if client else tunnel.backend, text=way.wrong[:100])

    # -- the end

    def end(
        self,
        why: Why,
        code: int = 0,
        *,
        text: str = "",
        offender: Half | None = None,
        dead: Half | None = None,
        final: End = End.CLOSED,
    ) -> None:
        """Begin to end it, for `why`. `code` is for the offender, or for both sides if there is none (0: what goes with
        `why`), `text` goes with it. `dead` is a side that is gone. Does nothing where the end has begun already.
        """
        tunnel, alarm = self.tunnel, self._alarm
        if tunnel is None or alarm is None or tunnel.reason is not None or self._farewell is not None:
            return
        if tunnel.paused:
            # It is about to be another process's, and nothing can be sent: that shall not have it, and it ends here.
            if self._parting is None:
                self._parting = partial(self.end, why, code, text=text, offender=offender, dead=dead, final=final)
                alarm.set(AGAIN)
            return
        tunnel.dismiss()
        self._give_up()
        if self._both_closed():
            why = Why.CLOSED  # they have said goodbye to each other, and only their connections are left
        if dead is not None:
            restarting = why is Why.BACKEND_LOST and self._ending is not None and self._ending.leaving
            codes = dict.fromkeys((tunnel.client, tunnel.backend), RESTART if restarting else why.other)
        else:
            theirs = code or why.code
            others = theirs if offender is None else why.other
            codes = {side: theirs if side is offender else others for side in (tunnel.client, tunnel.backend)}
        if self.close_code is None and why is Why.CLIENT_LOST:
            self.close_code, self.close_from = ABNORMAL, "client"
        elif self.close_code is None:
            self.close_code, self.close_from = codes[tunnel.client], "proxy"
        deadline = tunnel.loop.timers.now + self.terms.close_timeout
        self._farewell = Farewell(tunnel, self.up, self.down, why, final, deadline)
        self._farewell.begin(codes, text, offender, dead)
        alarm.set(0)

    def _give_up(self) -> None:
        """Give up what would let it go on in another way: here nothing."""

    def ends(self, reason: End, side: Half | None) -> bool:
        """Do what `TunnelGuard.ends` says: a side is gone, or nothing has moved for long."""
        tunnel = self.tunnel
        if tunnel is None:
            return False
        if self._farewell is not None:
            if side is not None:
                side.abandon()
                self._soon()
            return True
        if reason is End.IDLE:
            if self._answers():
                return True
            self.end(Why.IDLE, text="idle", final=reason)
            return True
        gone = side if side is not None else tunnel.client if reason in OF_CLIENT else tunnel.backend
        said, told = self._from(gone).close_code is not None, self._from(gone.peer).close_code is not None
        if side is None:
            heard = not (gone.peer.ended or gone.peer.deaf)
            loss = last_wait(reason, said=said, told=told, heard=heard)
        else:
            loss = loss_of(reason, said=said, told=told, alone=gone.peer.ended)
        if self._from(gone).mode == BLIND:
            return False
        if loss is None:
            if said and not told:
                self.until = min(self.until, tunnel.loop.timers.now + self.terms.close_timeout)
                self.plan()
            return False
        why, final = loss
        self.end(why, dead=gone, final=final)
        return True

    def refused(self, side: Half, untaken: int) -> None:
        """Do what `TunnelGuard.refused` says."""
        if self._farewell is not None:
            self._soon()

    def drained(self, side: Half) -> None:
        """Do what `TunnelGuard.drained` says: nothing waits for that."""

    def _answers(self) -> bool:
        """Whether those who have said nothing for long were asked, so that silence alone ends nothing."""
        tunnel = self.tunnel
        assert tunnel is not None
        found = self._may_ping() and self.heart.answers(tunnel)
        self.plan()
        return found

    def abort(self) -> None:
        """Say goodbye where that is possible at once: the tunnel is closed right after."""
        tunnel = self.tunnel
        if tunnel is not None and tunnel.reason is None:
            self.end(Why.SHUTDOWN)

    def over(self, tunnel: Tunnel, reason: End) -> None:
        """Keep only the figures: the tunnel has ended."""
        if self._farewell is not None:
            self.end_reason = self._farewell.why.token
        elif self.close_code is not None:
            self.end_reason = Why.CLOSED.token
        else:
            self.end_reason = reason.name.lower()
        if self._alarm is not None:
            self._alarm.close()
        if self._reauth is not None:
            self._reauth.cancel()
        tunnel.guard = None
        self.tunnel = self._ending = self._alarm = self._reauth = self._farewell = self._parting = None

    # -- inside

    def _from(self, side: Half) -> Direction:
        return self.up if side is side.tunnel.client else self.down

    def _both_closed(self) -> bool:
        return self.up.close_code is not None and self.down.close_code is not None

    def _soon(self) -> None:
        if self._alarm is not None:
            self._alarm.set(0)

    def _log(self, level: int, text: str) -> None:
        if self._ending is not None:
            report(self._ending.subject, level, text)
