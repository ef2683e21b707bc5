"""The states of a tunnel's two flows, as a table. Nothing on the hot path looks at it.

A tunnel is two flows, one from each side to the other. A flow has a source, which is read, and a sink, which is written
to. What is to be known of it are three facts, which the two `Side`s keep: has the source ended (`ended`), does the sink
take bytes (`deaf`: no), and are there bytes that it has not taken yet (`unsent`).

    flowing     the source is read, and what it says is written to the sink in the same turn
    held        the sink did not take all: the rest is kept, and the source is not read until it is gone. So never more
                than one read is kept, and who sends too fast is held back by its own kernel
    last words  the source has ended, but not all that it said is out. FIN comes after it
    ended       the source has ended and all is out; the sink has got FIN, which is one half of the end
    deaf        the sink takes no more: it was reset, or has closed wholly. What the source might still say does not
                count any more, and it is not read. What the sink itself says is the other flow's business, and goes on
    closed      the tunnel is over

A flow is over in `ended` and `deaf`. When both flows are over, the tunnel is closed; half-closed it may stay for long.
Where one end is to be the end of all (a stream without `proxy_half_close`), the first flow in `ended` closes it.
Where the sides of a WebSocket have each sent a close frame last, neither has anything more to say (RFC 6455, section
7.1.1): the first flow in `ended` closes the tunnel, too.
Reading that fails (a reset) closes the tunnel at once, whatever the states: who was reset will not read either.

Whoever guards a tunnel (a WebSocket that wants to say goodbye) may keep it from closing and give up the side that is
gone. To the flow from it that is an end. The flow to it is open again, for a tap that throws away what comes: nothing
is written to a sink that was given up.

A tunnel that is paused keeps its states; only nothing is waited for. While the compiled relay carries a tunnel, both
flows are flowing: it gives the tunnel back with the event that it met (`compiled.py`: SHORT, FULL, END, FAILED, OVER),
which is one of those below, and Python goes by it; or with bytes to be looked at (FRAMES), which Python reads. So both
relays go by this table, under the same tests.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.net.relay.side import Side


class FlowState(enum.Enum):
    """How it is with what one side says to the other. The value is for people."""

    FLOWING = "flowing"
    HELD = "held"
    LAST_WORDS = "last words"
    ENDED = "ended"
    DEAF = "deaf"
    CLOSED = "closed"


class FlowEvent(enum.Enum):
    """What may happen to it."""

    PASSED = "the source was read, and the sink took all"
    SHORT = "the sink did not take all"
    ROOM = "the sink took all that was kept"
    END = "the end of what the source says was read"
    REFUSED = "writing to the sink failed, or it hung up"
    RESET = "reading from the source failed"
    GIVEN_UP = "a guard gave up the source"
    SINK_GIVEN_UP = "a guard gave up the sink"
    CLOSE = "somebody closed the tunnel"


FLOWING, HELD, LAST_WORDS, ENDED, DEAF, CLOSED = FlowState
PASSED, SHORT, ROOM, END, REFUSED, RESET, GIVEN_UP, SINK_GIVEN_UP, CLOSE = FlowEvent

FLOW: Mapping[FlowState, Mapping[FlowEvent, FlowState]] = {
    FLOWING: {
        PASSED: FLOWING,
        SHORT: HELD,
        END: ENDED,
        REFUSED: DEAF,
        RESET: CLOSED,
        GIVEN_UP: ENDED,
        SINK_GIVEN_UP: FLOWING,
        CLOSE: CLOSED,
    },
    HELD: {
        SHORT: HELD,  # a ping or a close frame of ours, behind what is kept
        ROOM: FLOWING,
        END: LAST_WORDS,  # where the end is seen before what is kept is gone: a stream of HTTP/2
        REFUSED: DEAF,
        RESET: CLOSED,
        GIVEN_UP: LAST_WORDS,
        SINK_GIVEN_UP: FLOWING,
        CLOSE: CLOSED,
    },
    LAST_WORDS: {
        SHORT: LAST_WORDS,
        ROOM: ENDED,
        REFUSED: ENDED,
        GIVEN_UP: LAST_WORDS,
        SINK_GIVEN_UP: ENDED,
        CLOSE: CLOSED,
    },
    ENDED: {
        SHORT: LAST_WORDS,  # a close frame of ours, where a guard has kept FIN back for it
        REFUSED: ENDED,
        GIVEN_UP: ENDED,
        SINK_GIVEN_UP: ENDED,
        CLOSE: CLOSED,
    },
    DEAF: {REFUSED: DEAF, RESET: CLOSED, GIVEN_UP: ENDED, SINK_GIVEN_UP: FLOWING, CLOSE: CLOSED},
    CLOSED: {},
}
"""What is not named can not happen: a source that has ended, or whose sink is deaf, is not read."""

READ = frozenset({FLOWING})
"""The source is waited for in these states."""

WRITTEN = frozenset({HELD, LAST_WORDS})
"""The sink is waited for in these: until it has room."""

OVER = frozenset({ENDED, DEAF, CLOSED})
"""Nothing more will come of the flow in these. The tunnel is closed when both are."""


def flow_from(side: Side) -> FlowState:
    """Name the state of what `side`, of a tunnel that lives, says to the other."""
    sink = side.peer
    if sink.unsent is not None:
        return LAST_WORDS if side.ended else HELD
    if side.ended:
        return ENDED
    return DEAF if sink.deaf else FLOWING
