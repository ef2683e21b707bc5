"""The table of redials, held against a real bridge: every event in every state."""

from __future__ import annotations

import pytest

from penstock.websocket.redial.bridge import Bridge
from penstock.websocket.redial.states import (
    CALLING,
    CONNECTED,
    END,
    FAILED,
    GOODBYE,
    HELD,
    JOINED,
    LEAVING,
    LOST,
    MOVE,
    OVER,
    REDIAL,
    STAYED,
    TORN,
    RedialEvent,
    RedialState,
)
from penstock.websocket.redial.terms import CODES
from penstock.websocket.redial.way import BackendWay, ClientWay
from unit.websocket.streams import frame

WAY_TO = {
    JOINED: (),
    CALLING: (MOVE,),
    LEAVING: (MOVE, CONNECTED),
    HELD: (LOST,),
    OVER: (GOODBYE,),
}
"""How each state is come to from the beginning."""


def bridge(state: RedialState) -> Bridge:
    up = ClientWay()
    made = Bridge(up, BackendWay(up, CODES), 1000)
    for event in WAY_TO[state]:
        happen(made, event)
    assert made.state is state
    return made


def happen(made: Bridge, event: RedialEvent) -> None:
    """Make it happen as whoever drives a bridge does."""
    if event is LOST:
        assert made.lose(0)
    elif event is TORN:
        made.down.feed(b"\x81\x05ab", 0.0)
        assert not made.lose(0)
    elif event is CONNECTED and made.state is HELD:
        made.join()
    elif event is STAYED:
        made.stay()
    elif event is END:
        made.give_up()
    elif event is GOODBYE:
        made.up.feed(frame(0x88, b"\x03\xe8"), 0.0)
        made.happened(GOODBYE)
    else:
        made.happened(event)


@pytest.mark.parametrize("event", RedialEvent)
@pytest.mark.parametrize("state", RedialState)
def test_every_event_in_every_state(state: RedialState, event: RedialEvent) -> None:
    """What the table does not name is refused; all else leads where it says."""
    made = bridge(state)
    after = REDIAL[state].get(event)
    if after is None:
        with pytest.raises(KeyError):
            happen(made, event)
        return
    happen(made, event)
    assert made.state is after


def test_the_table_names_every_state_and_every_event() -> None:
    assert REDIAL.keys() == set(RedialState)
    assert {event for events in REDIAL.values() for event in events} == set(RedialEvent)
    assert {after for events in REDIAL.values() for after in events.values()} == set(RedialState)


def test_every_state_but_the_last_can_end_and_none_comes_back_from_it() -> None:
    assert all(REDIAL[state][END] is OVER for state in RedialState)
    assert set(REDIAL[OVER].values()) == {OVER}


def test_no_event_is_for_nobody() -> None:
    assert {FAILED, STAYED, GOODBYE} <= {event for events in REDIAL.values() for event in events}
