"""What it means for a WebSocket that one of its connections ends: was it a goodbye, or is a side lost?

    FIN behind a close frame      as it should be: the relay passes the FIN on, and the other side has
                                  `websocket_close_timeout` for its answer
    reset behind a close frame    the same, by somebody who did not wait for an answer (a browser whose tab is closed):
                                  the other side gets FIN behind the close frame, and has as long
    either, when the other side   nobody is there any more for whom it could have answered
    has said goodbye and gone
    neither                       the side is lost, and the other is told so with a close frame of ours

It makes no difference whether the reset is met while that side is read, or while it is written to.
"""

from __future__ import annotations

from penstock.net.relay.tunnel import End
from penstock.websocket.close_reasons import Why

LOST = {
    End.CLIENT_CLOSED: Why.CLIENT_LOST,
    End.CLIENT_RESET: Why.CLIENT_LOST,
    End.BACKEND_CLOSED: Why.BACKEND_LOST,
    End.BACKEND_RESET: Why.BACKEND_LOST,
    End.CLIENT_SEND_TIMEOUT: Why.CLIENT_STUCK,
    End.BACKEND_SEND_TIMEOUT: Why.BACKEND_STUCK,
}

PARTED = {
    End.CLIENT_CLOSED: End.CLIENT_CLOSED,
    End.CLIENT_RESET: End.CLIENT_CLOSED,
    End.BACKEND_CLOSED: End.BACKEND_CLOSED,
    End.BACKEND_RESET: End.BACKEND_CLOSED,
}
"""What the end of a side is called that comes behind a close frame of the same side."""

FINS = (End.CLIENT_CLOSED, End.BACKEND_CLOSED)
OF_CLIENT = (End.CLIENT_CLOSED, End.CLIENT_RESET, End.CLIENT_SEND_TIMEOUT)

Loss = tuple[Why, End]
"""Why the WebSocket ends, and the reason that its tunnel will have ended for."""


def loss_of(reason: End, *, said: bool, told: bool, alone: bool) -> Loss | None:
    """Judge the end of one side: `said` if it has said goodbye, `told` if the other has, `alone` if the other says
    nothing more. None: the relay does all that is to be done."""
    why = LOST.get(reason)
    if why is None or (said and (told or reason in FINS)):
        return None
    parted = PARTED.get(reason) if said or (told and alone) else None
    return (why, reason) if parted is None else (Why.CLOSED, parted)


def last_wait(reason: End, *, said: bool, told: bool, heard: bool) -> Loss | None:
    """Judge the end of both directions. Where the one that is gone has said goodbye, and the other, which can still be
    heard, has not, its answer is waited for. None: the tunnel may end."""
    parted = PARTED.get(reason)
    return (Why.CLOSED, parted) if parted is not None and said and heard and not told else None
