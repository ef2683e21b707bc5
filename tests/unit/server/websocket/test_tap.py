"""The tap on one direction: what passes at once, and what is looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.websocket.tap import tapping
from penstock.websocket.direction import Direction
from penstock.websocket.frames import FrameSender
from unit.websocket.streams import frame, good_frames, pieces


class Sink:
    """Counts what passes at once, and keeps what was looked at."""

    def __init__(self, side: FrameSender = FrameSender.CLIENT) -> None:
        self.way = Direction(side)
        self.out = bytearray()
        self.quick = self.slow = 0
        self.passing = tapping(self.way, self.slowly)(self.send)

    def send(self, view: memoryview) -> int:
        self.out += view
        self.quick += 1
        return len(view)

    def slowly(self, way: Direction, view: memoryview, send: object) -> int:
        self.slow += 1
        self.out += way.feed(view, 0.0)
        return len(view)

    def say(self, data: bytes) -> None:
        assert self.passing(memoryview(data)) == len(data)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
@pytest.mark.parametrize("side", FrameSender)
def test_a_whole_message_passes_at_once_and_is_counted(side: FrameSender, size: int) -> None:
    sink = Sink(side)
    message = frame(0x82, bytes(size), side)
    sink.say(message)
    assert bytes(sink.out) == message
    assert (sink.way.messages, sink.way.payload) == (1, size)
    assert sink.quick == 1 or size > 125, "short ones are looked at by nobody"


def test_the_middle_of_a_long_message_passes_at_once() -> None:
    sink = Sink()
    message = frame(0x82, bytes(200_000))
    for at in range(0, len(message), 50_000):
        sink.say(message[at : at + 50_000])
    assert bytes(sink.out) == message
    assert (sink.slow, sink.way.messages, sink.way.payload) == (0, 1, 200_000)


@pytest.mark.parametrize(
    "data",
    [
        frame(0x89, b"ping"),
        frame(0x01, b"a fragment"),
        frame(0x81, b"one") + frame(0x81, b"another"),
        frame(0x81, b"cut")[:-1],
        b"\x81",
        frame(0x81, b"masked by a server", FrameSender.SERVER),
        frame(0x83, b"a reserved opcode"),
    ],
)
def test_whatever_else_there_is_gets_looked_at(data: bytes) -> None:
    sink = Sink()
    sink.say(data)
    assert (sink.quick, sink.slow) == (0, 1)


def test_nothing_is_sent_quickly_once_nothing_may_pass() -> None:
    sink = Sink()
    sink.way.drop()
    sink.say(frame(0x81, b"late"))
    assert not sink.out


@given(seed=st.integers(0, 1 << 32), side=st.sampled_from(FrameSender))
def test_it_counts_as_the_slow_way_does(seed: int, side: FrameSender) -> None:
    data = b"".join(good_frames(seed, 40, side))
    sink, slow = Sink(side), Direction(side)
    for piece in pieces(data, seed):
        sink.say(piece)
    slow.feed(data, 0.0)
    assert bytes(sink.out) + sink.way._held == data
    for name in ("frames", "messages", "payload", "pings", "pongs"):
        assert getattr(sink.way, name) == getattr(slow, name), name
