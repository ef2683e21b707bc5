"""What a client can make grow while nobody takes what it says, and what is left of a WebSocket that was redialled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.net.loop import Loop, new_loop
from penstock.net.relay.relay import relay
from penstock.net.stream import Stream
from penstock.server.redial.absence import MOVED, Absence
from penstock.server.redial.passing import KeptConversation
from penstock.websocket.redial.states import CONNECTED, HELD, LEAVING, MOVE
from penstock.websocket.redial.terms import RedialTerms
from penstock.websocket.terms import Terms
from unit.net.conftest import tcp_pair
from unit.websocket.streams import frame

Run = Callable[[Coroutine[Any, Any, Any]], Any]
TERMS = Terms(strict=True, redial=RedialTerms(buffer=4096))
PING = frame(0x89, b"p" * 125)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = new_loop()
    yield made
    made.close()


@pytest.fixture
def run(loop: Loop) -> Run:
    def run(coro: Coroutine[Any, Any, Any]) -> Any:
        loop.call_later(60, loop.stop)
        return loop.run(coro)

    return run


def begun(loop: Loop) -> tuple[KeptConversation, Stream, Stream]:
    """A WebSocket, and the far ends of its client's and its backend's connections."""
    (client, near), (backend, far) = ([Stream(each, loop) for each in tcp_pair()] for _ in range(2))
    ending: Any = SimpleNamespace(conversation=None, service=SimpleNamespace(meters=None), subject=None)
    origin: Any = None
    talk = ending.conversation = KeptConversation(TERMS, ending, origin)
    relay(near, far, idle_timeout=60, on_end=talk.over, owner=ending, watch=talk.attach)
    return talk, client, backend


def test_pings_for_one_that_is_left_do_not_pile_up(loop: Loop, run: Run) -> None:
    """It takes nothing any more, and the client is read all the same: for its messages, which have a bound."""

    async def main() -> None:
        talk, client, _ = begun(loop)
        tunnel = talk.tunnel
        assert tunnel is not None
        talk.bridge.happened(MOVE)
        talk.bridge.happened(CONNECTED)
        assert talk.bridge.state is LEAVING
        absence = talk.absence = Absence(MOVED, 0.0, 60.0)
        talk.bridge.hold_back()
        talk.hold_client(absence)
        assert absence.held is not None and absence.held.old is not None
        old = absence.held.old
        await client.send_all(PING * 8000)
        while talk.up.pings < 8000:
            await asyncio.sleep(0.001)
        assert len(old.unsent or b"") < 100_000, "one read, at most"
        assert talk.bridge.size == 0
        tunnel.close()

    run(main())


def test_messages_for_nobody_have_their_bound(loop: Loop, run: Run) -> None:
    async def main() -> None:
        talk, client, _ = begun(loop)
        tunnel = talk.tunnel
        assert tunnel is not None
        assert talk.bridge.lose(0)
        assert talk.bridge.state is HELD
        absence = talk.absence = Absence("lost", 0.0, 60.0)
        talk.hold_client(absence)
        said = client.send_now(frame(0x82, b"m" * 1000) * 2000)
        while not talk.bridge.full:
            await asyncio.sleep(0.001)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert said > talk.bridge.size
        assert talk.bridge.size <= TERMS.redial.buffer + 81920  # type: ignore[union-attr]
        tunnel.close()

    run(main())

