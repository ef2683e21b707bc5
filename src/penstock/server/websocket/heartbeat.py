"""The pings of a conversation: who is asked, when, between which frames, and who is given up.

    a side that is silent            is asked, between two frames
    a side that takes no bytes       can not be asked; that it takes nothing for as long is answer enough
    a side that we do not read       (its peer takes no bytes) is not judged: its answer may lie there
"""

from __future__ import annotations

import os
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from penstock.websocket.direction import Direction
from penstock.websocket.frames import ping_frame
from penstock.websocket.ping_timer import Pulse

if TYPE_CHECKING:
    from penstock.net.relay.side import Side
    from penstock.net.relay.tunnel import Tunnel
    from penstock.websocket.terms import Terms

AGAIN = 1.0
"""Seconds after which a ping is tried again that found no room between frames."""


class Heartbeat:
    """A pulse for each side. `up` and `down` are the directions from the client and from the backend."""

    __slots__ = ("_down", "_up", "backend", "client")

    def __init__(self, terms: Terms, up: Direction, down: Direction) -> None:
        self.client = Pulse(terms.ping if terms.ping_client else 0.0, terms.ping_timeout)
        self.backend = Pulse(terms.ping if terms.ping_backend else 0.0, terms.ping_timeout)
        self._up = up
        self._down = down

    @property
    def sent(self) -> int:
        """Count the pings that we sent, to both sides."""
        return self.client.sent + self.backend.sent

    @property
    def rtt(self) -> float | None:
        """Return what the client took to answer our last ping, in seconds; else what the backend took."""
        found = self.client.rtt
        return self.backend.rtt if found is None else found

    def due(self, tunnel: Tunnel) -> float:
        """Return when there is something to do for it, if nothing moves until then."""
        client = self.client.due(tunnel.heard(of_client=True)) if self.client.every else inf
        backend = self.backend.due(tunnel.heard(of_client=False)) if self.backend.every else inf
        return min(client, backend)

    def check(self, tunnel: Tunnel, now: float) -> tuple[Side | None, float]:
        """Ask who is to be asked: the side that is to be given up, if one is, and the seconds until another look where
        something could not be done (0: everything was)."""
        if self.due(tunnel) > now:
            return None, 0.0
        tunnel.dismiss()
        gone, retry = self._ask_who_is_due(tunnel, now)
        if gone is None:
            tunnel.engage()
        return gone, retry

    def _ask_who_is_due(self, tunnel: Tunnel, now: float) -> tuple[Side | None, float]:
        retry = 0.0
        for side, pulse in ((tunnel.client, self.client), (tunnel.backend, self.backend)):
            if pulse.due(side.last) > now:
                continue
            if side.peer.unsent is not None and side.unsent is None:
                pulse.spare(now)
            elif pulse.asked and not (pulse.mute and side.unsent is None):
                if not pulse.takes(now, side.acknowledged()):
                    return side, 0.0
                continue
            elif self.ask(tunnel, side):
                continue
            elif side.unsent is not None:
                pulse.wait(now, side.acknowledged(), side.undelivered())
                continue
            retry = min(AGAIN, pulse.every)
        return None, retry

    def ask(self, tunnel: Tunnel, side: Side) -> bool:
        """Ping a side, if that is possible between two frames and it takes what it is sent."""
        tunnel.dismiss()
        client = side is tunnel.client
        pulse, come, go = (self.client, self._up, self._down) if client else (self.backend, self._down, self._up)
        if not go.at_boundary or side.unsent is not None or side.deaf:
            return False
        come.awaited = token = pulse.ask(monotonic())
        tunnel.inject(side, ping_frame(token, None if client else os.urandom(4)))
        pulse.sent_behind(side.acknowledged(), side.undelivered())
        return True

    def answers(self, tunnel: Tunnel) -> bool:
        """Ask who has said nothing for long, so that silence alone ends nothing; False where nobody can be asked."""
        found = False
        tunnel.dismiss()
        for side, pulse in ((tunnel.client, self.client), (tunnel.backend, self.backend)):
            if pulse.every and (pulse.asked or self.ask(tunnel, side)):
                found = True
        tunnel.engage()
        return found

    def answered(self, pulse: Pulse, now: float) -> float:
        """Note that the pong to a ping of ours has come, and return when the next is due at the earliest."""
        pulse.answered(monotonic())
        return now + pulse.every

    def state(self) -> list[tuple[float, float | None, int]]:
        """Return all of it as plain values, for `restore`."""
        return [self.client.state(), self.backend.state()]

    def restore(self, state: list[Any]) -> None:
        """Go on where another stopped."""
        for pulse, told in zip((self.client, self.backend), state, strict=True):
            pulse.restore(told)
