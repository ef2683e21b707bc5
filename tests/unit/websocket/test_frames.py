"""The builders of control frames, against what reads them."""

from __future__ import annotations

import random

import pytest
from websockets.frames import Opcode
from websockets.protocol import Protocol
from websockets.protocol import Side as TheirSide
from wsproto.frame_protocol import CloseReason

from penstock.websocket.direction import Direction
from penstock.websocket.frames import FrameSender, close_frame, may_be_sent, ping_frame, pong_frame
from unit.websocket.streams import MASK, frame


@pytest.mark.parametrize("mask", [None, MASK])
def test_builders(mask: bytes | None) -> None:
    side = FrameSender.SERVER if mask is None else FrameSender.CLIENT
    assert close_frame(1012, "restart", mask) == frame(0x88, b"\x03\xf4restart", side)
    assert ping_frame(b"abc", mask) == frame(0x89, b"abc", side)
    assert pong_frame(b"abc", mask) == frame(0x8A, b"abc", side)
    assert ping_frame(mask=mask) == frame(0x89, b"", side)
    way = Direction(side)
    sent = ping_frame(mask=mask) + close_frame(4999, mask=mask)
    assert way.feed(sent, 0.0) == sent
    assert (way.pings, way.close_code, way.broken) == (1, 4999, None)
    assert close_frame(None, "unsaid", mask) == frame(0x88, b"", side)


def test_a_reason_is_cut_between_characters() -> None:
    data = close_frame(1000, "\u20ac" * 60)
    assert data[1] == 2 + 123
    assert data[4:].decode() == "\u20ac" * 41
    assert close_frame(1000, "x" + "\u20ac" * 60)[4:].decode() == "x" + "\u20ac" * 40


def test_what_may_not_be_built() -> None:
    for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
        assert not may_be_sent(code)
        with pytest.raises(ValueError, match="may not be sent"):
            close_frame(code)
    with pytest.raises(ValueError, match="125"):
        ping_frame(b"x" * 126)
    with pytest.raises(ValueError, match="4 bytes"):
        ping_frame(b"", b"123")


def test_codes_as_others_see_them() -> None:
    for code in CloseReason:
        assert may_be_sent(int(code)) == (int(code) not in (1005, 1006, 1015))


def test_masks_vary() -> None:
    for _ in range(20):
        mask = random.randbytes(4)
        protocol = Protocol(TheirSide.SERVER, max_size=None)
        protocol.receive_data(ping_frame(b"payload", mask))
        (event,) = protocol.events_received()
        assert (event.opcode, event.data) == (Opcode.PING, b"payload")
