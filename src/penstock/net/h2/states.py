"""The states of one stream of HTTP/2, as they are here: RFC 9113, section 5.1, without what the connection deals with.

    open                    both sides may send
    half-closed (remote)    the peer has sent END_STREAM (`ended`): usually a request that is here wholly
    half-closed (local)     we have (`finished`): an answer is out before its request was in
    done                    both have; nobody has let go of it yet
    lost                    it was reset by one side, or its connection is gone (`lost`): whatever came and was not read
                            is thrown away, and writing raises. For a tunnel it is kept, as a kernel would keep it
    closed                  who had it has let go of it, and the connection knows it no more. What was on its way for it
                            is dropped as it comes

Letting go of a stream before it is `done` says so to the peer: with a reset (the reason is the caller's) where our part
is missing, and with NO_ERROR where only the rest of a request is, which nobody wants any more (section 8.1).

Frames that the peer may not send in a state (DATA behind END_STREAM) are the connection's business, and never come here
(`http/h2/wire.py`). That nobody here writes behind END_STREAM is the writers' own promise.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.net.h2.stream import Lane


class LaneState(enum.Enum):
    """How far a stream is. The value is for people, the RFC's words where it has some."""

    OPEN = "open"
    PEER_ENDED = "half-closed (remote)"
    WE_ENDED = "half-closed (local)"
    DONE = "done"
    LOST = "lost"
    CLOSED = "closed"


class LaneEvent(enum.Enum):
    """What may happen to it."""

    DATA = "bytes came"
    PEER_END = "END_STREAM came"
    SEND = "bytes were sent"
    OUR_END = "END_STREAM was sent"
    PEER_RESET = "the peer reset it, or the connection is gone"
    OUR_RESET = "we reset it"
    LET_GO = "who had it let go of it"


OPEN, PEER_ENDED, WE_ENDED, DONE, LOST, CLOSED = LaneState
DATA, PEER_END, SEND, OUR_END, PEER_RESET, OUR_RESET, LET_GO = LaneEvent

LANE: Mapping[LaneState, Mapping[LaneEvent, LaneState]] = {
    OPEN: {
        DATA: OPEN,
        PEER_END: PEER_ENDED,
        SEND: OPEN,
        OUR_END: WE_ENDED,
        PEER_RESET: LOST,
        OUR_RESET: LOST,
        LET_GO: CLOSED,
    },
    PEER_ENDED: {SEND: PEER_ENDED, OUR_END: DONE, PEER_RESET: LOST, OUR_RESET: LOST, LET_GO: CLOSED},
    WE_ENDED: {DATA: WE_ENDED, PEER_END: DONE, PEER_RESET: LOST, OUR_RESET: LOST, LET_GO: CLOSED},
    DONE: {PEER_RESET: LOST, OUR_RESET: LOST, LET_GO: CLOSED},
    LOST: {PEER_RESET: LOST, OUR_RESET: LOST, LET_GO: CLOSED},
    CLOSED: {PEER_RESET: CLOSED, OUR_RESET: CLOSED, LET_GO: CLOSED},
}
"""What is not named can not happen, or raises: writing to a stream that is lost or closed."""


def state_of(lane: Lane) -> LaneState:
    """Name the state of a stream."""
    if lane.session.lanes.get(lane.sid) is not lane:
        return CLOSED
    if lane.lost:
        return LOST
    if lane.finished:
        return DONE if lane.ended else WE_ENDED
    return PEER_ENDED if lane.ended else OPEN
