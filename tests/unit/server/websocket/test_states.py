"""The table of a session's states, held against real sessions in real tunnels: every event in every state."""

from __future__ import annotations

import asyncio

import pytest

from penstock.net.loop import Loop
from penstock.net.relay.tunnel import End
from penstock.server.websocket.session import Conversation
from penstock.server.websocket.states import (
    ALIVE,
    ATTACHED,
    BOTH_GOODBYES,
    CLOSED,
    END,
    END_PAUSED,
    END_POSTPONED,
    ENDING,
    GOODBYE,
    NEW,
    ONE_GOODBYE,
    OPEN,
    OVER,
    RESUMED,
    SESSION,
    SessionEvent,
    SessionState,
)
from penstock.websocket.close_reasons import Why
from penstock.websocket.frames import close_frame
from penstock.websocket.terms import Terms
from unit.server.websocket.test_session import Run, Talk, loop, run
from unit.websocket.streams import MASK

__all__ = ["loop", "run"]

PATHS: dict[SessionState, tuple[SessionEvent, ...]] = {
    NEW: (),
    OPEN: (ATTACHED,),
    ONE_GOODBYE: (ATTACHED, GOODBYE),
    BOTH_GOODBYES: (ATTACHED, GOODBYE, GOODBYE),
    END_POSTPONED: (ATTACHED, END_PAUSED),
    ENDING: (ATTACHED, END),
    CLOSED: (ATTACHED, OVER),
}


class Session:
    """A session whose peers a test plays."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.talk = Conversation(Terms(strict=True, close_timeout=5.0), None)  # type: ignore[arg-type]
        self.tunnel: Talk | None = None

    async def happen(self, event: SessionEvent) -> None:
        if event is ATTACHED:
            if self.tunnel is None:
                self.tunnel = Talk(self.loop, self._made)
        elif self.tunnel is None or self.tunnel.reasons:
            self.talk.end(Why.KILLED)
            self.talk.plan()
        elif event is GOODBYE:
            await self._say_goodbye(self.tunnel)
        elif event in (END, END_PAUSED):
            if event is END_PAUSED:
                self.tunnel.tunnel.pause()
            self.talk.end(Why.KILLED)
        elif event is RESUMED:
            if self.tunnel.tunnel.paused:
                self.tunnel.tunnel.resume()
            self.talk._due()
        elif event is OVER:
            self.tunnel.tunnel.close(End.SHUTDOWN)
        if event is not END:
            for _ in range(6):
                await asyncio.sleep(0)  # an end for which nothing is left to do would be over by then

    def _made(self, ending: object) -> Conversation:
        self.talk._ending = ending  # type: ignore[assignment]
        return self.talk

    async def _say_goodbye(self, tunnel: Talk) -> None:
        if self.talk.up.close_code is None:
            tunnel.client.send_now(close_frame(1000, mask=MASK))
        else:
            tunnel.backend.send_now(close_frame(1000))
        for _ in range(50):
            await asyncio.sleep(0)


@pytest.mark.parametrize("event", SessionEvent)
@pytest.mark.parametrize("state", SessionState)
def test_every_event_in_every_state(loop: Loop, run: Run, state: SessionState, event: SessionEvent) -> None:
    """An event that the table does not name for a state does nothing in it."""
    if (state, event) == (END_POSTPONED, END):
        event = END_PAUSED  # that its tunnel stands still is what this state is about

    async def main() -> None:
        one = Session(loop)
        for step in PATHS[state]:
            await one.happen(step)
        assert one.talk.stage is state
        shown = "closed" if state is CLOSED else "open" if state in ALIVE else "closing"
        assert one.talk.close_state == shown
        await one.happen(event)
        assert one.talk.stage is SESSION[state].get(event, state)
        if one.tunnel is not None:
            one.tunnel.tunnel.close()

    run(main())


def test_the_table_names_every_state_and_every_event() -> None:
    assert SESSION.keys() == set(SessionState)
    assert {event for events in SESSION.values() for event in events} == set(SessionEvent)
    assert {after for events in SESSION.values() for after in events.values()} | {NEW} == set(SessionState)


def test_every_state_can_end() -> None:
    for state, events in SESSION.items():
        assert state in (NEW, CLOSED) or events[OVER] is CLOSED
        assert all(after not in ALIVE for event, after in events.items() if event is not ATTACHED)
