"""The table of a stream's states, held against real streams of a real connection: every event in every state."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import NetError
from penstock.net.h2.states import (
    CLOSED,
    DATA,
    DONE,
    LANE,
    LET_GO,
    LOST,
    OPEN,
    OUR_END,
    OUR_RESET,
    PEER_END,
    PEER_ENDED,
    PEER_RESET,
    SEND,
    WE_ENDED,
    LaneEvent,
    LaneState,
)
from penstock.net.h2.stream import CANCEL, Lane
from penstock.net.loop import Loop
from unit.net.h2.connections import OK, Connection, turns

Run = Callable[[Coroutine[Any, Any, Any]], Any]
PATHS: dict[LaneState, tuple[LaneEvent, ...]] = {
    OPEN: (),
    PEER_ENDED: (PEER_END,),
    WE_ENDED: (OUR_END,),
    DONE: (PEER_END, OUR_END),
    LOST: (PEER_RESET,),
    CLOSED: (LET_GO,),
}


async def happen(event: LaneEvent, ours: Lane, theirs: Lane) -> None:
    """Make it happen to `theirs`, as far as its peer, or who has it, can."""
    if event in (DATA, PEER_END):
        if not ours.lost and not ours.finished:
            ours.send_now(b"data" if event is DATA else b"", ended=event is PEER_END)
    elif event is PEER_RESET:
        if ours.lost or theirs.stage in (LOST, CLOSED, DONE):
            theirs.lose(104)  # nothing can come any more, but that the connection is gone
        else:
            ours.reset(CANCEL)
    elif event is OUR_RESET:
        theirs.reset(CANCEL)
    elif event is LET_GO:
        theirs.close()
    else:
        theirs.send_now(b"data" if event is SEND else b"", ended=event is OUR_END)
    await turns()


@pytest.mark.parametrize("event", LaneEvent)
@pytest.mark.parametrize("state", LaneState)
def test_every_event_in_every_state(loop: Loop, run: Run, state: LaneState, event: LaneEvent) -> None:
    """What the table does not name does not come, or raises, and changes nothing."""

    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair()
        theirs.head(OK)
        for step in PATHS[state]:
            await happen(step, ours, theirs)
        assert theirs.stage is state
        after = LANE[state].get(event)
        if after is None and event in (SEND, OUR_END):
            if theirs.lost:
                with pytest.raises(NetError):
                    await happen(event, ours, theirs)
        elif after is not None or state not in (PEER_ENDED, DONE):
            await happen(event, ours, theirs)
        assert theirs.stage is (after or state)
        assert theirs.closed == (theirs.stage in (LOST, CLOSED))
        assert (theirs.stage is CLOSED) == (theirs.sid not in connection.server.lanes)
        theirs.close()
        await connection.close()

    run(main())


def test_the_table_names_every_state_and_every_event() -> None:
    assert LANE.keys() == set(LaneState)
    assert {event for events in LANE.values() for event in events} == set(LaneEvent)
    assert {after for events in LANE.values() for after in events.values()} == set(LaneState)


def test_every_stream_can_be_let_go_of_and_none_comes_back() -> None:
    order = list(LaneState)
    for state, events in LANE.items():
        assert events[LET_GO] is CLOSED
        assert all(order.index(after) >= order.index(state) for after in events.values())
