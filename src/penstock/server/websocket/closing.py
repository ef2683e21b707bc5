"""The end of a conversation that the proxy makes, or has to make good: in steps, in bounded time.

    a side that is between two frames gets its close frame; one that is inside a frame gets the rest of it first
    from then on nothing else is passed on to it
    its own close frame (or its end) is awaited, then it gets FIN
    one whose peer has said goodbye and is gone gets FIN right behind that close frame, and has its time to answer
    one that has broken the protocol, or a limit, gets FIN right behind the close frame (RFC 6455, section 7.1.7): what
    it says does not count any more
    when both sides have come so far, or when the time is over, the tunnel is closed

Who has broken something is read for a moment after that FIN, and it is thrown away: closing on bytes that nobody has
read would make a reset of the end, which may overtake the close frame. A side that is gone gets nothing. When that
leaves the other in the middle of a frame, a plain close has to do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from penstock.net.relay.tunnel import End, Tunnel
from penstock.websocket.close_reasons import Why
from penstock.websocket.direction import BLIND, Direction
from penstock.websocket.frames import NO_CODE, close_frame

if TYPE_CHECKING:
    from penstock.net.relay.side import Side

LINGER = 1.0
"""Seconds for which a side is read after its FIN, if it does not end before; longer while it has not got all."""


class Farewell:
    """`final` is the reason that the tunnel will have ended for, `deadline` (monotonic seconds) when it must have."""

    __slots__ = (
        "_down",
        "_due",
        "_finished",
        "_left",
        "_lingers",
        "_offender",
        "_text",
        "_tunnel",
        "_up",
        "deadline",
        "final",
        "why",
    )

    def __init__(self, tunnel: Tunnel, up: Direction, down: Direction, why: Why, final: End, deadline: float) -> None:
        self._tunnel = tunnel
        self._up = up
        self._down = down
        self.why = why
        self.final = final
        self.deadline = deadline
        self._text = ""
        self._offender: Side | None = None
        self._left: Side | None = None
        """The side that is left where the other is gone."""
        self._due: dict[Side, int] = {}
        """Codes for sides that are inside a frame."""
        self._lingers: dict[Side, float] = {}
        """Sides that have broken something and got their FIN, and until when they are read."""
        self._finished: set[Side] = set()
        """Sides of which nothing more is expected."""

    def begin(self, codes: dict[Side, int], text: str, offender: Side | None, dead: Side | None) -> None:
        """Send the close frames that can be sent now. The text is for the offender, or for both if there is none;
        `dead` is a side that is gone."""
        self._text = text
        self._offender = offender
        if dead is not None:
            self._left = dead.peer
            dead.abandon()
            self._finished.add(dead)
            self._toward(dead).drop()
        for side, code in codes.items():
            if side is not dead:
                self._part(side, code, within=dead is None)

    def go_on(self) -> bool:
        """See how far it has come: whether the tunnel may be closed."""
        for side, code in list(self._due.items()):
            if self._toward(side).at_boundary:
                del self._due[side]
                self._goodbye(side, code)
        for side in (self._tunnel.client, self._tunnel.backend):
            if side in self._finished or side in self._due:
                continue
            if side.ended or side.deaf:
                self._lingers.pop(side, None)
                self._finished.add(side)
            elif side.unsent is None:
                self._see_off(side)
        return len(self._finished) == 2 or self._tunnel.loop.timers.now >= self.deadline

    @property
    def next_check(self) -> float:
        """Return when something is due, if nothing happens until then."""
        return min(self.deadline, *self._lingers.values()) if self._lingers else self.deadline

    def _see_off(self, side: Side) -> None:
        """Give FIN to a side that has all it was to get, if nothing more is expected of it."""
        way = self._from(side)
        if way.close_code is not None:
            self._finished.add(side)
            if not side.finished:
                side.finish()
        elif side is self._left and self._toward(side).close_code is not None:
            if not side.finished:
                side.finish()
        elif way.broken is not None:
            now = self._tunnel.loop.timers.now
            until = self._lingers.get(side)
            if until is None:
                self._lingers[side] = now + LINGER
                if not side.finished:
                    side.finish()
            elif now >= until:
                if side.undelivered():
                    self._lingers[side] = now + LINGER
                else:
                    del self._lingers[side]
                    self._finished.add(side)

    def _part(self, side: Side, code: int, *, within: bool) -> None:
        """Give a side its close frame, now or, if there is hope for that, when the frame it is in has ended."""
        way = self._toward(side)
        if side.ended or side.deaf or way.mode == BLIND:
            way.drop()
            self._finished.add(side)
        elif way.close_code is not None:
            pass  # the other side's own has been passed on
        elif way.at_boundary:
            self._goodbye(side, code)
        elif within:
            way.finish()
            self._due[side] = code
        else:
            way.drop()
            self._finished.add(side)

    def _goodbye(self, side: Side, code: int) -> None:
        said = self._from(side).close_code
        if said is not None:
            code = said  # it began, and gets its own code back
        self._toward(side).drop()
        mask = os.urandom(4) if side is self._tunnel.backend else None
        text = self._text if side is (self._offender or side) else ""
        self._tunnel.inject(side, close_frame(None if code == NO_CODE else code, text, mask))

    def _from(self, side: Side) -> Direction:
        return self._up if side is self._tunnel.client else self._down

    def _toward(self, side: Side) -> Direction:
        return self._down if side is self._tunnel.client else self._up
