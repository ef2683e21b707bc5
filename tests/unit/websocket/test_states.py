"""The table of a direction's modes, held against real directions: every event in every state."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.websocket.direction import Direction
from penstock.websocket.frames import FrameSender
from penstock.websocket.states import (
    BLIND,
    BREACH,
    CLOSE,
    DATA,
    DROP,
    DROPPING,
    FINISH_BETWEEN,
    FINISH_INSIDE,
    FINISHING,
    FRAME_ENDED,
    FRAMES,
    OVER,
    PASSED_ON,
    PASSING,
    TOLERATED,
    FrameEvent,
    FrameState,
)
from unit.websocket.streams import frame

LONG = frame(0x82, b"z" * 1000)
INSIDE = 500
WRONG = b"\x83\x80\0\0\0\0"
SAID = {DATA: frame(0x81, b"a"), CLOSE: frame(0x88, b"\x0f\xa0"), BREACH: WRONG, TOLERATED: WRONG}


def direction(state: FrameState, event: FrameEvent) -> Direction:
    """One in that state, and inside a frame where the event has to find it there."""
    way = Direction(FrameSender.CLIENT, lenient=event is TOLERATED or state is BLIND)
    if state is FINISHING or event in (FRAME_ENDED, FINISH_INSIDE):
        way.feed(LONG[:INSIDE], 0.0)
    if state is FINISHING:
        way.finish()
    elif state is DROPPING:
        way.drop()
    elif state is OVER:
        way.feed(LONG[INSIDE:] if way.left else b"", 0.0)
        way.feed(SAID[CLOSE], 0.0)
    elif state is BLIND:
        way.feed(LONG[INSIDE:] if way.left else b"", 0.0)
        way.feed(WRONG, 0.0)
    return way


def happen(way: Direction, event: FrameEvent) -> bytes:
    """Make it happen: what is passed on."""
    if event is DROP:
        way.drop()
    elif event in (FINISH_INSIDE, FINISH_BETWEEN):
        way.finish()
    elif event is FRAME_ENDED:
        return bytes(way.feed(LONG[INSIDE:], 0.0))
    else:
        return bytes(way.feed(SAID[event], 0.0))
    return b""


@pytest.mark.parametrize("event", FrameEvent)
@pytest.mark.parametrize("state", FrameState)
def test_every_event_in_every_state(state: FrameState, event: FrameEvent) -> None:
    """An event that the table does not name for a state can not happen in it: the same bytes change nothing there."""
    way = direction(state, event)
    assert way.stage is state
    out = happen(way, event)
    assert way.stage is FRAMES[state].get(event, state)
    if event not in (DROP, FINISH_INSIDE, FINISH_BETWEEN, BREACH, TOLERATED):
        assert bool(out) == (state in PASSED_ON), "something is passed on where the state says so"
    if state not in PASSED_ON:
        assert not out


def test_the_table_names_every_state_and_every_event() -> None:
    assert FRAMES.keys() == set(FrameState)
    assert {event for events in FRAMES.values() for event in events} == set(FrameEvent)
    assert {after for events in FRAMES.values() for after in events.values()} == set(FrameState)


def test_it_only_goes_forward() -> None:
    """What is not passed on can not be passed on later."""
    for state, events in FRAMES.items():
        for after in events.values():
            assert after in PASSED_ON or after not in (PASSING, FINISHING)
            assert state is PASSING or after is not PASSING
            assert state in PASSED_ON or after not in PASSED_ON


class Walk(RuleBasedStateMachine):
    """A direction to which anything happens that can, bytes cut anywhere: the table is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.way = Direction(FrameSender.CLIENT)
        self.model = PASSING

    def happens(self, event: FrameEvent) -> None:
        self.model = FRAMES[self.model].get(event, self.model)

    @precondition(lambda self: not self.way.left)
    @rule(event=st.sampled_from([DATA, CLOSE, BREACH]), cut=st.integers(1, 20))
    def says(self, event: FrameEvent, cut: int) -> None:
        data = SAID[event]
        for at in range(0, len(data), cut):
            self.way.feed(data[at : at + cut], 0.0)
        self.happens(event)

    @precondition(lambda self: not self.way.left)
    @rule()
    def begins_a_long_frame(self) -> None:
        self.way.feed(LONG[:INSIDE], 0.0)
        self.happens(DATA)

    @precondition(lambda self: self.way.left)
    @rule(cut=st.integers(1, 500))
    def goes_on(self, cut: int) -> None:
        data = LONG[len(LONG) - self.way.left :][:cut]
        self.way.feed(data, 0.0)
        if not self.way.left:
            self.happens(FRAME_ENDED)

    @rule()
    def finish(self) -> None:
        event = FINISH_INSIDE if self.way.left else FINISH_BETWEEN
        self.way.finish()
        self.happens(event)

    @rule()
    def drop(self) -> None:
        self.way.drop()
        self.happens(DROP)

    @invariant()
    def agrees(self) -> None:
        assert self.way.stage is self.model


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
