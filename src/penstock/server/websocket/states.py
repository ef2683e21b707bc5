"""The life of a WebSocket session, as a table. Nothing on the hot path looks at it.

    new               it has no tunnel yet
    open              messages pass
    one goodbye       a close frame came from one side and was passed on. The other's answer is its own business, and so
                      is the time it takes, as long as both are there; once who said goodbye is gone, the other has
                      `websocket_close_timeout` for its answer
    both goodbyes     both close frames have been passed on. The server closes the connection now (RFC 6455, section
                      7.1.1), and has `websocket_close_timeout` for it
    end postponed     somebody wants it to end while its tunnel stands still, because another process is about to have
                      it: nothing can be sent, so that process does not get it, and it ends here right after
    ending            our own close frames are on their way (`closing.py`), in bounded time
    closed            the tunnel is over; only figures are left

It ends in `ending` if the proxy has anything to say, or to make good. Where the peers part by themselves, the tunnel
just ends. Once it is `ending`, no other reason to end counts any more: the first is the one in the logs.

A session that comes from another process begins where it was there: open, or with the goodbyes that were said.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class SessionState(enum.Enum):
    """How far a session is. The value is for people."""

    NEW = "new"
    OPEN = "open"
    ONE_GOODBYE = "one goodbye"
    BOTH_GOODBYES = "both goodbyes"
    END_POSTPONED = "end postponed"
    ENDING = "ending"
    CLOSED = "closed"


class SessionEvent(enum.Enum):
    """What may happen to it."""

    ATTACHED = "it got its tunnel"
    GOODBYE = "a close frame came, the first of one side"
    END = "there is a reason to end it"
    END_PAUSED = "there is one while the tunnel stands still"
    RESUMED = "the tunnel goes on, and its time has come"
    OVER = "the tunnel is over"


NEW, OPEN, ONE_GOODBYE, BOTH_GOODBYES, END_POSTPONED, ENDING, CLOSED = SessionState
ATTACHED, GOODBYE, END, END_PAUSED, RESUMED, OVER = SessionEvent

SESSION: Mapping[SessionState, Mapping[SessionEvent, SessionState]] = {
    NEW: {ATTACHED: OPEN},
    OPEN: {GOODBYE: ONE_GOODBYE, END: ENDING, END_PAUSED: END_POSTPONED, OVER: CLOSED},
    ONE_GOODBYE: {GOODBYE: BOTH_GOODBYES, END: ENDING, END_PAUSED: END_POSTPONED, OVER: CLOSED},
    BOTH_GOODBYES: {END: ENDING, END_PAUSED: END_POSTPONED, OVER: CLOSED},
    END_POSTPONED: {END_PAUSED: END_POSTPONED, RESUMED: ENDING, OVER: CLOSED},
    ENDING: {GOODBYE: ENDING, END: ENDING, END_PAUSED: ENDING, OVER: CLOSED},
    CLOSED: {},
}
"""What is not named does nothing: there is no tunnel to do it to, or no side that could say it."""

ALIVE = frozenset({NEW, OPEN})
"""Nobody has said goodbye, and nobody has been told to."""
