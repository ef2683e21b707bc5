"""Conversations in tunnels whose peers a test plays: moved to another process, and gone without a trace."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.net.loop import Loop, new_loop
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream
from penstock.server.websocket.handover import resumed, state_of
from penstock.server.websocket.session import Conversation
from penstock.websocket.close_reasons import Why
from penstock.websocket.frames import FrameSender, close_frame, ping_frame, pong_frame
from penstock.websocket.terms import DirectionLimits, Terms
from unit.net.conftest import tcp_pair
from unit.websocket.streams import MASK, frame

PATIENCE = 20.0
Run = Callable[[Coroutine[Any, Any, Any]], Any]
TERMS = Terms(strict=True, ping=30.0, ping_client=True, from_client=DirectionLimits(message=1 << 20), lifetime=3600.0)


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


class Talk:
    """A tunnel with a conversation; `client` and `backend` are the far ends."""

    def __init__(self, loop: Loop, make: Callable[[Any], Conversation]) -> None:
        pairs = [[Stream(each, loop) for each in tcp_pair()] for _ in range(2)]
        self.client, near = pairs[0]
        self.backend, far = pairs[1]
        self.ending: Any = SimpleNamespace(leaving=False, subject=None, conversation=None)
        self.talk = self.ending.conversation = make(self.ending)
        self.reasons: list[End] = []
        self.tunnel = relay(
            near, far, idle_timeout=60, on_end=self._ended, owner=self.ending, watch=self.talk.attach
        )

    def _ended(self, tunnel: Tunnel, reason: End) -> None:
        self.talk.over(tunnel, reason)
        self.reasons.append(reason)

    async def ended(self) -> None:
        for _ in range(400):
            if self.reasons:
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the tunnel does not end")


def test_going_on_in_another_process(loop: Loop, run: Run) -> None:
    """In the middle of a frame's header, with a ping on its way."""

    async def main() -> None:
        one = Talk(loop, lambda ending: Conversation(TERMS, ending, compressed=True))
        await one.client.send_all(frame(0x81, b"a" * 300) + frame(0x82, b"b" * 500)[:3])
        assert len(await one.backend.recv(1 << 16, PATIENCE)) == 308
        assert one.talk.heart.ask(one.tunnel, one.tunnel.client)
        ping = await one.client.recv(100, PATIENCE)
        state = json.loads(json.dumps(state_of(one.talk)))
        assert one.talk.portable
        one.talk.over(one.tunnel, End.SHUTDOWN)
        one.tunnel.release()

        plan: Any = None  # no handshake is told of
        two = Talk(loop, lambda ending: resumed(state, ending, plan))
        assert (two.talk.messages_in, two.talk.pings, two.talk.compressed) == (1, 1, True)
        assert two.talk.until == one.talk.until
        assert two.talk.terms is TERMS or two.talk.terms == TERMS
        await two.client.send_all(frame(0x82, b"b" * 500)[3:] + pong_frame(ping[2:], MASK) + frame(0x81))
        whole = frame(0x82, b"b" * 500) + frame(0x81)
        got = b""
        while len(got) < len(whole):
            got += await two.backend.recv(1 << 16, PATIENCE)
        assert got == whole, "the beginning of the header came along, and the pong was for us"
        assert two.talk.rtt is not None
        assert two.talk.messages_in == 3
        two.tunnel.close()

    run(main())


@pytest.mark.parametrize("how", ["killed", "gone", "wrong", "clean", "aborted", "idle"])
def test_nothing_is_left_without_the_collector(loop: Loop, run: Run, how: str) -> None:
    async def main() -> None:
        one = Talk(loop, lambda ending: Conversation(Terms(strict=True, close_timeout=0.2), ending))
        await one.client.send_all(frame(0x81, b"hello"))
        await one.backend.recv(100, PATIENCE)
        gc.collect()
        gc.disable()
        await asyncio.sleep(0)  # it may have taken seconds, and the loop reads its clock once a turn
        if how == "killed":
            one.talk.end(Why.KILLED, 4000, text="go")
            assert (await one.client.recv(100, PATIENCE))[:4] == b"\x88\x04\x0f\xa0"
        elif how == "gone":
            one.backend.close()
            assert await one.client.recv(100, PATIENCE) == close_frame(1014)
        elif how == "wrong":
            await one.client.send_all(b"\x83\x80\0\0\0\0")
            assert (await one.client.recv(200, PATIENCE))[2:4] == b"\x03\xea"
        elif how == "clean":
            await one.client.send_all(close_frame(1000, mask=MASK))
            await one.backend.send_all(close_frame(1000))
            assert await one.client.recv(100, PATIENCE) == close_frame(1000)
        elif how == "aborted":
            one.talk.abort()
            one.tunnel.close()
        else:
            assert one.talk.ends(End.IDLE, None)
        await one.ended()
        assert one.talk.end_reason == {
            "killed": "killed", "gone": "backend_lost", "wrong": "protocol_error", "clean": "closed",
            "aborted": "shutdown", "idle": "idle_timeout",
        }[how]  # fmt: skip

    try:
        run(main())
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = [type(each).__name__ for each in gc.garbage]
        assert not {"Conversation", "Direction", "Farewell", "Tunnel", "Side", "Alarm"}.intersection(ours), ours
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_both_masks(loop: Loop, run: Run) -> None:
    """Frames to the backend have a mask, those to the client have none."""

    async def main() -> None:
        one = Talk(loop, lambda ending: Conversation(TERMS, ending))
        for side in (one.tunnel.client, one.tunnel.backend):
            assert one.talk.heart.ask(one.tunnel, side)
        to_client = await one.client.recv(100, PATIENCE)
        to_backend = await one.backend.recv(100, PATIENCE)
        assert to_client == ping_frame(to_client[2:]) and len(to_client) == 10
        assert to_backend[1] == FrameSender.CLIENT | 8 and len(to_backend) == 14
        one.tunnel.close()

    run(main())
