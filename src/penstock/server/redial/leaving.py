"""How a backend is left that still serves: it is heard to its end, and only then closed.

    the client comes to the end of a message     from here on what it says is kept for the next backend
    the old one is pinged                        its pong says that it has read all that it was sent
    it is silent for `quiet`                     so it has answered what it was going to answer at once
    it gets a close frame (1001), and is read    until its own comes, or its end: websocket_close_timeout at most

One that is never silent is closed after eight times `quiet`: what it says until its own close frame is still passed on.
"""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

from penstock.websocket.close_reasons import GOING_AWAY
from penstock.websocket.frames import close_frame
from penstock.websocket.redial.way import ANY

if TYPE_CHECKING:
    from penstock.net.relay.tunnel import Tunnel
    from penstock.server.redial.absence import Absence
    from penstock.server.redial.session import RedialConversation

LONGEST = 8
"""How many times `quiet` one is listened to that does not fall silent."""


def leave(talk: RedialConversation, absence: Absence, tunnel: Tunnel, now: float) -> None:
    """Go as far as one can go now, and say when there is more to do (`absence.due`)."""
    if absence.held is None:
        if not talk.bridge.rested or tunnel.backend.unsent is not None:
            if now >= absence.deadline:
                talk.stay(absence)
            return
        talk.bridge.hold_back()
        talk.hold_client(absence)
    held, quiet = absence.held, talk.redial.quiet
    old = None if held is None else held.old
    if old is None:
        return
    if absence.asked == inf:
        absence.asked = now
        talk.heart.ask(tunnel, old)
        absence.due = now + quiet
    elif absence.parted == inf:
        last = absence.asked + LONGEST * quiet
        unanswered = talk.down.awaited is not None
        silent = max(old.last, absence.asked) + quiet
        if now < last and (unanswered or now < silent):
            absence.due = last if unanswered else min(last, silent)
            return
        absence.parted = now
        talk.down.leaves = ANY
        tunnel.inject(old, close_frame(GOING_AWAY, mask=os.urandom(4)))
        absence.due = now + talk.terms.close_timeout
    elif now >= absence.parted + talk.terms.close_timeout:
        talk.departed()
    else:
        absence.due = absence.parted + talk.terms.close_timeout
