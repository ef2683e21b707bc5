"""A WebSocket conversation in a tunnel: what happens in it, what has its time, and how it comes to its end.

    client --- up ---> backend        each direction is a `Direction` behind a tap (`tapping.py`)
    client <-- down -- backend

Its figures are in `tally.py`, its pings in `heartbeat.py`; how it says goodbye, where that is not the peers' own doing,
is in `farewell.py`. Nothing here closes the tunnel while one of its sides is at work: that is left to the alarm.
"""

from __future__ import annotations

from math import inf
from random import random
from typing import TYPE_CHECKING, Any

from penstock.net.timers import Alarm
from penstock.net.tunnel import End, Send, Tunnel
from penstock.observe.errorlog import INFO, WARN, report
from penstock.server.farewell import Farewell
from penstock.server.heartbeat import AGAIN, Heartbeat
from penstock.server.tally import Tally
from penstock.server.tapping import tapping
from penstock.websocket.direction import ANSWERED, BLIND, BROKEN, CLOSED, FINISHED, Direction
from penstock.websocket.endings import ABNORMAL, RESTART, Why
from penstock.websocket.frames import Side
from penstock.websocket.terms import Terms, terms_of

if TYPE_CHECKING:
    from penstock.net.side import Side as Half
    from penstock.server.reauth import Reauth
    from penstock.server.tunnel import Ending

LOST = {
    End.CLIENT_CLOSED: Why.CLIENT_LOST,
    End.CLIENT_RESET: Why.CLIENT_LOST,
    End.BACKEND_CLOSED: Why.BACKEND_LOST,
    End.BACKEND_RESET: Why.BACKEND_LOST,
    End.CLIENT_SEND_TIMEOUT: Why.CLIENT_STUCK,
    End.BACKEND_SEND_TIMEOUT: Why.BACKEND_STUCK,
}


class Conversation(Tally):
    """`terms` is what its location wants, `up` what comes from the client, `down` what comes from the backend.

    "in" is from the client, "out" to it. Counters stay readable when it is over. `close_code` and `close_from`
    ("client", "backend" or "proxy") tell of the close frame that began the end, 1006 of an end without one;
    `end_reason` is a short word (`websocket.endings`), "" while it lives. `compressed`: permessage-deflate was agreed
    on.
    """

    __slots__ = (
        "_alarm",
        "_ending",
        "_farewell",
        "_reauth",
        "_rsv",
        "_until",
        "close_code",
        "close_from",
        "compressed",
        "end_reason",
        "terms",
        "tunnel",
    )

    def __init__(self, terms: Terms, ending: Ending, *, rsv: int = 0, compressed: bool = False) -> None:
        self.terms = terms
        self.compressed = compressed
        self._rsv = rsv
        self.up = Direction(Side.CLIENT, rsv, terms.from_client, lenient=not terms.strict)
        self.down = Direction(Side.SERVER, rsv, terms.from_backend, lenient=not terms.strict)
        self.heart = Heartbeat(terms, self.up, self.down)
        self.close_code: int | None = None
        self.close_from = ""
        self.end_reason = ""
        self.tunnel: Tunnel | None = None
        self._ending: Ending | None = ending
        self._alarm: Alarm | None = None
        self._until = inf
        self._farewell: Farewell | None = None
        self._reauth: Reauth | None = None

    @property
    def closing(self) -> bool:
        """Whether close frames of ours are on their way."""
        return self._farewell is not None

    @property
    def portable(self) -> bool:
        """Whether another process can go on with it: not with a farewell, and not with questions about a request
        that is only here."""
        return self._farewell is None and self._reauth is None

    @property
    def close_state(self) -> str:
        """"open", "closing" once a close frame has come or gone, "closed"."""
        if self.end_reason:
            return "closed"
        return "open" if self.close_code is None and self._farewell is None else "closing"

    @property
    def client(self) -> Half | None:
        """The client's side of the tunnel, while there is one."""
        return None if self.tunnel is None or self.tunnel.reason is not None else self.tunnel.client

    # -- its life

    def attach(self, tunnel: Tunnel) -> None:
        """Begin, before any byte moves."""
        terms = self.terms
        if terms.lifetime and self._until == inf:
            self._until = tunnel.opened + terms.lifetime * (1 - terms.lifetime_jitter * random())
        self.tunnel = tunnel
        tunnel.guard = self
        tunnel.tap(tunnel.client, tapping(self.up, self._pass))
        tunnel.tap(tunnel.backend, tapping(self.down, self._pass))
        self._alarm = Alarm(tunnel.loop.timers, self._due)
        self.plan()

    def ask_again(self, reauth: Reauth) -> None:
        """Let somebody else say, now and then, whether it may go on."""
        self._reauth = reauth

    def _pass(self, way: Direction, view: memoryview, send: Send) -> int:
        tunnel = self.tunnel
        assert tunnel is not None
        out = way.feed(view, tunnel.loop.timers.now)
        if not way.news and out is view:
            return send(view)
        if len(out):
            tunnel.inject(tunnel.backend if way is self.up else tunnel.client, out)  # type: ignore[arg-type]
        if way.news:
            self._hear(way)
        return len(view)

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
            self._until = tunnel.loop.timers.now + self.terms.close_timeout
            alarm.at(self._until)
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
            alarm.at(self._farewell.deadline)
            return
        due = self._until
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

    def _due(self) -> None:
        tunnel, alarm = self.tunnel, self._alarm
        if tunnel is None or alarm is None or tunnel.reason is not None:
            return
        if tunnel.paused:
            alarm.set(AGAIN)
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
        if now >= self._until and self._both_closed():
            self.end(Why.CLOSED)
            return
        if now >= self._until:
            self.end(Why.LIFETIME, self.terms.lifetime_code)
            return
        retry = inf
        if self._may_ping():
            gone, again = self.heart.look(tunnel, now)
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

    def ends(self, reason: End, side: Half | None) -> bool:
        """As `Guard.ends`: a side is gone, or nothing has moved for long."""
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
        why = LOST.get(reason)
        if side is None or why is None or self._from(side).mode == BLIND:
            return False
        if self._from(side).close_code is not None and reason in (End.CLIENT_CLOSED, End.BACKEND_CLOSED):
            return False  # as it should be
        if self._from(side).close_code is not None and self._from(side.peer).close_code is not None:
            return False
        self.end(why, dead=side, final=reason)
        return True

    def refused(self, side: Half) -> None:
        """As `Guard.refused`."""
        if self._farewell is not None:
            self._soon()

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
        """The tunnel has ended: only figures are left."""
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
        self.tunnel = self._ending = self._alarm = self._reauth = self._farewell = None

    # -- to another process

    def state(self) -> dict[str, Any]:
        """All of it as plain values, for `resume`."""
        return {
            "terms": self.terms.plain(),
            "compressed": self.compressed,
            "rsv": self._rsv,
            "up": self.up.state(),
            "down": self.down.state(),
            "pulses": self.heart.state(),
            "close": (self.close_code, self.close_from),
            "until": None if self._until == inf else self._until,
        }

    @classmethod
    def resume(cls, state: dict[str, Any], ending: Ending) -> Conversation:
        """Go on with what another process gave; `attach` it to its tunnel."""
        made = cls(terms_of(state["terms"]), ending, rsv=state["rsv"], compressed=state["compressed"])
        made.up.restore(state["up"])
        made.down.restore(state["down"])
        made.heart.restore(state["pulses"])
        made.close_code, made.close_from = state["close"]
        if state["until"] is not None:
            made._until = state["until"]
        return made

    # -- inside

    def _from(self, side: Half) -> Direction:
        return self.up if side is side.tunnel.client else self.down

    def _toward(self, side: Half) -> Direction:
        return self.down if side is side.tunnel.client else self.up

    def _both_closed(self) -> bool:
        return self.up.close_code is not None and self.down.close_code is not None

    def _soon(self) -> None:
        if self._alarm is not None:
            self._alarm.set(0)

    def _log(self, level: int, text: str) -> None:
        if self._ending is not None:
            report(self._ending.subject, level, text)
