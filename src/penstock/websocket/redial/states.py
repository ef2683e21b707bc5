"""A WebSocket that may be redialled, as a table. Nothing on the hot path looks at it.

    joined       messages pass between the client and its backend
    calling      it is to have another backend, which is dialled; the old one serves as before
    leaving      another backend is there. What the client says is kept for it, from the next message on; the old one is
                 read until it has nothing more to say, then closed, and read to its end
    held         there is no backend. What the client says is kept, its pings are answered by us, and one is dialled
    over         it is not redialled any more

A loss is one *between messages* where nothing was cut that somebody has already seen a part of, or where all of it is
still here: the backend has left no message unfinished, and the message of the client that it has not taken whole, if
there is one, is kept from its beginning. Any other loss is *torn*, and ends the WebSocket.

What a backend's kernel has taken counts as delivered, and is not sent again: messages are delivered at most once. Who
says goodbye is not redialled, unless that has come while nobody was there to hear it: then it is delivered like a
message, behind those that came before it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class RedialState(enum.Enum):
    """How it stands with the backend. The value is for people."""

    JOINED = "joined"
    CALLING = "calling"
    LEAVING = "leaving"
    HELD = "held"
    OVER = "over"


class RedialEvent(enum.Enum):
    """What may happen to it."""

    LOST = "the backend is lost between messages, or has come to its end"
    TORN = "it is lost amid a message that can not be made whole"
    MOVE = "it is to have another backend"
    CONNECTED = "another backend has switched protocols"
    FAILED = "no other backend was found in time"
    STAYED = "the client does not come to the end of a message in time"
    GOODBYE = "the client says goodbye"
    END = "it ends for another reason"


JOINED, CALLING, LEAVING, HELD, OVER = RedialState
LOST, TORN, MOVE, CONNECTED, FAILED, STAYED, GOODBYE, END = RedialEvent

REDIAL: Mapping[RedialState, Mapping[RedialEvent, RedialState]] = {
    JOINED: {LOST: HELD, TORN: OVER, MOVE: CALLING, GOODBYE: OVER, END: OVER},
    CALLING: {LOST: HELD, TORN: OVER, MOVE: CALLING, CONNECTED: LEAVING, FAILED: JOINED, GOODBYE: OVER, END: OVER},
    LEAVING: {LOST: JOINED, TORN: OVER, MOVE: LEAVING, STAYED: JOINED, GOODBYE: LEAVING, END: OVER},
    HELD: {MOVE: HELD, CONNECTED: JOINED, FAILED: OVER, GOODBYE: HELD, END: OVER},
    OVER: {END: OVER},
}
"""What is not named can not happen: who is not dialled does not answer, and there is no backend to be lost."""

WITHOUT = frozenset({HELD})
"""Nobody takes the client's messages in these states, and nobody answers its pings but us."""
