"""The table of a tunnel's flows, held against real tunnels: every event in every state, under both relays."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.net.loop import IN, OUT, Loop, new_loop
from penstock.net.relay.compiled import END as TWIN_END
from penstock.net.relay.compiled import FAILED, FULL, NoTwin, make
from penstock.net.relay.compiled import SHORT as TWIN_SHORT
from penstock.net.relay.relay import relay
from penstock.net.relay.side import Side
from penstock.net.relay.states import (
    CLOSE,
    CLOSED,
    DEAF,
    END,
    ENDED,
    FLOW,
    FLOWING,
    GIVEN_UP,
    HELD,
    LAST_WORDS,
    OVER,
    PASSED,
    READ,
    REFUSED,
    RESET,
    ROOM,
    SHORT,
    SINK_GIVEN_UP,
    WRITTEN,
    FlowEvent,
    FlowState,
)
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream

PATHS: dict[FlowState, tuple[FlowEvent, ...]] = {
    FLOWING: (),
    HELD: (SHORT,),
    LAST_WORDS: (SHORT, END),
    ENDED: (END,),
    DEAF: (REFUSED,),
    CLOSED: (RESET,),
}
MUCH = bytes(8 << 20)
RELAYS = ("python", "c")


class Keeper:
    """A guard that lets no tunnel end by itself."""

    def ends(self, reason: End, side: Side | None) -> bool:
        return reason not in (End.CLIENT_RESET, End.BACKEND_RESET)

    def refused(self, side: Side, untaken: int) -> None:
        pass

    def drained(self, side: Side) -> None:
        pass


class Flow:
    """A tunnel, and what `source` says in it to `sink`: both are the far ends, over unix sockets, where one can refuse
    bytes and go on speaking."""

    def __init__(self, loop: Loop, *, kept: bool = True) -> None:
        self.loop = loop
        self.source, near = socket.socketpair()
        self.sink, far = socket.socketpair()
        for sock in (self.source, near, self.sink, far):
            sock.setblocking(False)
        self.reasons: list[End] = []

        def watch(tunnel: Tunnel) -> None:
            if kept:
                tunnel.guard = Keeper()

        self.tunnel = relay(
            Stream(near, loop),
            Stream(far, loop),
            idle_timeout=5,
            on_end=lambda _, reason: self.reasons.append(reason),
            watch=watch,
        )

    @property
    def near(self) -> Side:
        return self.tunnel.client

    @property
    def far(self) -> Side:
        return self.tunnel.backend

    @property
    def state(self) -> FlowState:
        return self.tunnel.flows[0]

    def close(self) -> None:
        self.tunnel.close()
        self.source.close()
        self.sink.close()

    async def happen(self, event: FlowEvent) -> None:
        """Make `event` happen, as the peers can; where they can not, as what carries them would see it."""
        before = self.state
        with suppress(OSError):
            if event is PASSED:
                self.source.send(b"x")
            elif event is SHORT and before is FLOWING:
                await self._fill()
            elif event is SHORT and before is not CLOSED:
                self.tunnel.inject(self.far, MUCH)
            elif event is ROOM:
                await self._read_all()
            elif event is END:
                self._end(before)
            elif event is REFUSED:
                self._refuse(before)
            elif event is RESET:
                self._reset(before)
            elif before is not CLOSED:
                self.tunnel.dismiss()
                if event is CLOSE:
                    self.tunnel.close()
                else:
                    (self.near if event is GIVEN_UP else self.far).abandon()
        for _ in range(6):
            await asyncio.sleep(0)

    async def _fill(self) -> None:
        for _ in range(200):
            with suppress(BlockingIOError):
                self.source.send(MUCH[:65536])
            await asyncio.sleep(0)
            if self.state is not FLOWING:
                return
        raise AssertionError("the sink takes everything")

    async def _read_all(self) -> None:
        quiet = 0
        while quiet < 6:
            quiet += 1
            with suppress(BlockingIOError):
                if self.sink.recv(1 << 20):
                    quiet = 0
            await asyncio.sleep(0)

    def _end(self, before: FlowState) -> None:
        if before is HELD:
            self.near._end_of_input()  # what has no bytes of its own in a kernel sees it at once
        else:
            self.source.shutdown(socket.SHUT_WR)

    def _refuse(self, before: FlowState) -> None:
        if before is CLOSED:
            return
        self.sink.shutdown(socket.SHUT_RD)
        if before in WRITTEN:
            while self.sink.recv(1 << 20):
                pass  # the kernel tells who waits for room that there is none any more once there would be some
        elif before is FLOWING:
            self.source.send(b"x")
        elif before is ENDED:
            self.tunnel.inject(self.far, b"x")
        elif before is DEAF:
            self.far.refuse(OSError(errno.EPIPE, os.strerror(errno.EPIPE)))

    def _reset(self, before: FlowState) -> None:
        if before in (HELD, DEAF):
            self.tunnel.reset(self.near, errno.ECONNRESET)
            return
        with suppress(OSError):
            self.sink.send(b"unread")
        if before is FLOWING:
            self.near.sock.send(b"unread")
        self.source.close()


@pytest.fixture(params=RELAYS)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    yield from _loop(request.param, monkeypatch)


def _loop(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.setenv("PENSTOCK_RELAY", name)
    try:
        make(-1)
    except NoTwin as why:
        pytest.skip(str(why))
    except OSError:
        pass
    with closing(new_loop()) as made:
        failures: list[BaseException] = []
        made.hot.on_error = lambda _, error: failures.append(error)
        yield made
        assert not failures


def holds(flow: Flow) -> None:
    """What is waited for is what the state says."""
    if flow.state is CLOSED:
        return
    near, far = flow.near, flow.far
    assert (near.mask > 0 and bool(near.mask & IN)) == (flow.state in READ), flow.state
    assert (far.mask > 0 and bool(far.mask & OUT)) == (flow.state in WRITTEN), flow.state


@pytest.mark.parametrize("event", FlowEvent)
@pytest.mark.parametrize("state", FlowState)
def test_every_event_in_every_state(loop: Loop, state: FlowState, event: FlowEvent) -> None:
    """An event that the table does not name for a state can not happen in it: trying changes nothing."""

    async def main() -> None:
        with closing(Flow(loop)) as flow:
            for step in PATHS[state]:
                await flow.happen(step)
            assert flow.state is state
            holds(flow)
            await flow.happen(event)
            assert flow.state is FLOW[state].get(event, state)
            holds(flow)

    loop.call_later(60, loop.stop)
    loop.run(main())


@settings(max_examples=40, deadline=None)
@given(events=st.lists(st.sampled_from([each for each in FlowEvent if each is not CLOSE]), max_size=12))
@pytest.mark.parametrize("name", RELAYS)
def test_any_walk(name: str, events: list[FlowEvent]) -> None:
    async def main(loop: Loop) -> None:
        with closing(Flow(loop)) as flow:
            state = FLOWING
            done: set[FlowEvent] = set()
            for event in events:
                if event not in FLOW[state]:
                    continue
                if event in (PASSED, SHORT, ROOM, REFUSED) and done & {REFUSED, SINK_GIVEN_UP}:
                    continue  # to a sink that was given up a guard lets nothing through
                if event is SHORT and flow.far.finished:
                    continue  # it has got FIN, and nothing can come behind that
                done.add(event)
                await flow.happen(event)
                state = FLOW[state][event]
                assert flow.state is state, (event, events)

    with pytest.MonkeyPatch.context() as patch:
        for loop in _loop(name, patch):
            loop.call_later(60, loop.stop)
            loop.run(main(loop))


@pytest.mark.parametrize("one", [(END,), (REFUSED,), (SHORT, END), ()])
@pytest.mark.parametrize("other", [True, False])
def test_a_tunnel_is_closed_when_both_flows_are_over(loop: Loop, one: tuple[FlowEvent, ...], other: bool) -> None:
    async def main() -> None:
        with closing(Flow(loop, kept=False)) as flow:
            for event in one:
                await flow.happen(event)
            first = flow.state
            if other:
                flow.sink.shutdown(socket.SHUT_WR)
            for _ in range(6):
                await asyncio.sleep(0)
            assert (flow.tunnel.reason is not None) == (other and first in OVER)
            assert bool(flow.reasons) == (flow.state is CLOSED)

    loop.call_later(60, loop.stop)
    loop.run(main())


def test_the_compiled_relay_gives_a_tunnel_back_with_events_of_the_table() -> None:
    assert {TWIN_SHORT: SHORT, FULL: REFUSED, TWIN_END: END, FAILED: RESET}.keys() == {1, 2, 3, 4}
    assert {SHORT, REFUSED, END, RESET} <= FLOW[FLOWING].keys(), "it carries what flows, and nothing else"


def test_only_a_guard_opens_again_what_is_over() -> None:
    for state in OVER:
        for event, after in FLOW[state].items():
            assert after in OVER or (state, event) in {(DEAF, SINK_GIVEN_UP), (ENDED, SHORT)}


def test_the_table_names_every_state_and_every_event() -> None:
    assert FLOW.keys() == set(FlowState)
    assert {event for events in FLOW.values() for event in events} == set(FlowEvent)
    assert {after for events in FLOW.values() for after in events.values()} == set(FlowState)
