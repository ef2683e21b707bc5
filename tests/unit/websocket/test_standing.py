"""Where a direction stands: somebody else goes on from there, and it goes on from where they stopped."""

from __future__ import annotations

import pytest

from penstock.websocket.direction import Direction
from penstock.websocket.frames import FrameSender
from penstock.websocket.standing import FOREVER
from penstock.websocket.terms import DirectionLimits
from unit.websocket.streams import frame

CLIENT = FrameSender.CLIENT


def test_where_it_stands() -> None:
    one = Direction(CLIENT, 0x40, DirectionLimits(message=5000, frame=2000))
    one.feed(frame(0xC1, b"whole") + frame(0x41, b"part") + frame(0x89), 0.0)
    one.feed(frame(0x00, bytes(500))[:100], 0.0)
    assert one.standing() == (0x80, 0x40, 2000, 4, 1, 9 + 100 - 8, 408, 504, True)
    assert Direction(FrameSender.SERVER).standing() == (0, 0, FOREVER - 1, 0, 0, 0, 0, 0, False)


def test_it_goes_on_from_where_somebody_else_stopped() -> None:
    one, other = Direction(CLIENT), Direction(CLIENT)
    begin = frame(0x81, b"whole") + frame(0x01, b"part") + frame(0x00, b"another")[:9]
    other.feed(begin, 0.0)
    one.stepped((3, 1, 12, 4, 11, 1))
    for way in (one, other):
        assert way.busy
        way.feed(frame(0x00, b"another")[9:] + frame(0x80, b"end"), 0.0)
        assert not way.busy
    figures = [(way.frames, way.messages, way.payload, way.standing()) for way in (one, other)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (frame(0x81, b"hello")[:3], DirectionLimits()),
        (frame(0x89, b"a ping")[:7], DirectionLimits()),
        (frame(0x88), DirectionLimits()),
        (frame(0x83), DirectionLimits()),
        (frame(0x01, bytes(1500)) + frame(0x00, bytes(1500)), DirectionLimits(frame=2000)),
        (b"", DirectionLimits(rate=1.0)),
        (b"", DirectionLimits(message=100)),
    ],
)
def test_where_nobody_else_could_go_on(said: bytes, limits: DirectionLimits) -> None:
    one = Direction(CLIENT, 0, limits)
    one.feed(said, 0.0)
    assert one.standing() is None
