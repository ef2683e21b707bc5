"""What becomes of the bytes from one side of a WebSocket, as a table. Nothing on the hot path looks at it.

    passing      all that comes is passed on
    finishing    we want to say something in this direction (a close frame), and a frame is under way: it is passed on
                 to its end, and nothing after it
    dropping     nothing is passed on any more; what comes is still read as frames, for the close frame that is awaited
    over         a close frame has come, or the protocol or a limit was broken: what comes is thrown away unread
    blind        the protocol was broken where that is not our business: all is passed on as it is, and nothing of it is
                 read as frames again. A close frame of ours has no place there, so that this ends without one

It only goes forward: what is not passed on can not be passed on later, for the other side would get the middle of
something. After a close frame nothing counts that its sender says (RFC 6455, section 5.5.1), nor does what comes after
a breach, because nobody knows where the next frame begins (section 7.1.7).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class FrameState(enum.IntEnum):
    """The modes of a `Direction`, which keeps the number: it is compared for every piece of bytes."""

    PASSING = 0
    FINISHING = 1
    DROPPING = 2
    OVER = 3
    BLIND = 4

    @property
    def shown(self) -> str:
        """Return the name for people."""
        return self.name.lower()


class FrameEvent(enum.Enum):
    """What may happen to it."""

    DATA = "a data frame, a ping or a pong came"
    FRAME_ENDED = "the frame that was under way came to its end"
    CLOSE = "a close frame came"
    BREACH = "the protocol or a limit was broken"
    TOLERATED = "the protocol was broken, and nobody minds"
    FINISH_INSIDE = "`finish` was called inside a frame"
    FINISH_BETWEEN = "`finish` was called between two frames"
    DROP = "`drop` was called"


PASSING, FINISHING, DROPPING, OVER, BLIND = FrameState
DATA, FRAME_ENDED, CLOSE, BREACH, TOLERATED, FINISH_INSIDE, FINISH_BETWEEN, DROP = FrameEvent

FRAMES: Mapping[FrameState, Mapping[FrameEvent, FrameState]] = {
    PASSING: {
        DATA: PASSING,
        FRAME_ENDED: PASSING,
        CLOSE: OVER,
        BREACH: OVER,
        TOLERATED: BLIND,
        FINISH_INSIDE: FINISHING,
        FINISH_BETWEEN: DROPPING,
        DROP: DROPPING,
    },
    FINISHING: {FRAME_ENDED: DROPPING, FINISH_INSIDE: FINISHING, DROP: DROPPING},
    DROPPING: {
        DATA: DROPPING,
        FRAME_ENDED: DROPPING,
        CLOSE: OVER,
        BREACH: OVER,
        TOLERATED: OVER,  # nothing is passed on that could be left alone
        FINISH_INSIDE: DROPPING,
        FINISH_BETWEEN: DROPPING,
        DROP: DROPPING,
    },
    OVER: {FINISH_INSIDE: OVER, FINISH_BETWEEN: OVER, DROP: OVER},
    BLIND: {FINISH_INSIDE: BLIND, FINISH_BETWEEN: BLIND, DROP: OVER},
}
"""What is not named can not happen: inside a frame no other begins, and what is not read as frames has none."""

PASSED_ON = frozenset({PASSING, FINISHING, BLIND})
"""Something of what comes is passed on in these states."""
