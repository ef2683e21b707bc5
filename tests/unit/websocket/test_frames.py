"""Frames: the scanner against wsproto and websockets, on streams cut anywhere; the builders against the scanner."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import Protocol
from websockets.protocol import Side as TheirSide
from wsproto.frame_protocol import CloseReason, FrameProtocol, ParseFailed

from penstock.websocket.frames import (
    NO_CODE,
    RSV1,
    FrameScanner,
    Side,
    close_frame,
    may_be_sent,
    ping_frame,
    pong_frame,
)

MASK = b"\x12\x34\x56\x78"


def frame(first: int, payload: bytes = b"", side: Side = Side.CLIENT, length: int | None = None) -> bytes:
    """A frame with that first byte; `length` is written in place of the payload's own, in its longest form."""
    size = len(payload)
    if length is not None:
        head = bytes((first, side | 127)) + length.to_bytes(8, "big")
    elif size < 126:
        head = bytes((first, side | size))
    elif size < 65536:
        head = bytes((first, side | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, side | 127)) + size.to_bytes(8, "big")
    if side is Side.SERVER:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[at & 3] for at, byte in enumerate(payload))


def scanned(data: bytes, side: Side = Side.CLIENT, step: int = 1 << 30, rsv: int = 0) -> FrameScanner:
    scanner = FrameScanner(side, rsv)
    buffer = bytearray(min(step, len(data)) + 7)
    for at in range(0, len(data), step):
        piece = data[at : at + step]
        buffer[: len(piece)] = piece
        scanner.feed(buffer, len(piece))
    return scanner


SIZES = st.sampled_from([0, 1, 2, 10, 125, 126, 127, 300, 65535, 65536])


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1 << 30])
def test_a_conversation(side: Side, step: int) -> None:
    data = (
        frame(0x81, b"hello", side)
        + frame(0x02, b"a" * 200, side)
        + frame(0x89, b"ping", side)
        + frame(0x00, b"b", side)
        + frame(0x8A, b"", side)
        + frame(0x80, b"c" * 70000, side)
        + frame(0x88, b"\x03\xe9bye", side)
    )
    scanner = scanned(data, side, step)
    assert scanner.error is None
    assert (scanner.frames, scanner.messages, scanner.pings, scanner.pongs) == (7, 2, 1, 1)
    assert scanner.close_code == 1001
    assert (scanner.opcode, scanner.fin, scanner.rsv, scanner.length) == (8, True, 0, 5)
    assert scanner.at_boundary


@settings(max_examples=100, deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=6), st.lists(st.integers(0, 10**6), max_size=6), st.sampled_from(Side))
def test_the_boundaries_are_where_frames_end(sizes: list[int], places: list[int], side: Side) -> None:
    frames = [frame(0x82, b"x" * size, side) for size in sizes]
    data = b"".join(frames)
    ends = {0}
    for one in frames:
        ends.add(max(ends) + len(one))
    scanner = FrameScanner(side)
    at = 0
    for place in [*sorted(place % (len(data) + 1) for place in places), len(data)]:
        scanner.feed(data[at:place], place - at)
        at = place
        assert scanner.at_boundary == (at in ends)
        assert scanner.messages == sum(0 < end <= at for end in ends) or not scanner.at_boundary
    assert scanner.messages == len(frames)


def test_a_message_in_fragments_is_a_boundary_for_control_frames_only() -> None:
    scanner = scanned(frame(0x01, b"a"))
    assert scanner.at_boundary
    assert not scanner.between_messages
    last = frame(0x80, b"b")
    scanner.feed(last, len(last))
    assert scanner.between_messages


def test_close_codes() -> None:
    assert scanned(frame(0x88)).close_code == NO_CODE
    assert scanned(frame(0x88, b"\x0f\xa0")).close_code == 4000
    assert scanned(frame(0x88, b"\x0f\xa0", Side.SERVER), Side.SERVER).close_code == 4000
    assert scanned(frame(0x81)).close_code is None
    assert scanned(frame(0x88, b"\x03\xe8") + frame(0x88, b"\x03\xe9")).close_code == 1000


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (frame(0x81, b"", Side.SERVER), "a client's frame is not masked"),
        (frame(0xC1), "a reserved bit is set"),
        (frame(0xA1), "a reserved bit is set"),
        (frame(0x91), "a reserved bit is set"),
        (frame(0xC9), "a reserved bit is set"),
        (frame(0x83), "the opcode is 0x3"),
        (frame(0x0B), "the opcode is 0xb"),
        (frame(0x09), "a control frame is fragmented"),
        (frame(0x89, b"x" * 126), "a control frame is longer than 125 bytes"),
        (frame(0x88, b"x"), "a close frame has half a code"),
        (frame(0x88, b"\x03\xed"), "the close code is 1005"),
        (frame(0x88, b"\x00\x00"), "the close code is 0"),
        (frame(0x80), "a continuation continues nothing"),
        (frame(0x00), "a continuation continues nothing"),
        (frame(0x01) + frame(0x81), "a message begins inside another"),
        (frame(0x02) + frame(0x02), "a message begins inside another"),
        (frame(0x88) + frame(0x81), "a data frame follows a close frame"),
        (bytes((0x82, 0xFE, 0, 125)) + MASK, "a length is not in its shortest form"),
        (frame(0x82, length=65535), "a length is not in its shortest form, or has 64 bits"),
        (frame(0x82, length=1 << 63), "a length is not in its shortest form, or has 64 bits"),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1 << 30])
def test_errors(data: bytes, error: str, step: int) -> None:
    scanner = scanned(frame(0x81, b"ok") + data + frame(0x81, b"more") * 3, step=step)
    assert scanner.error == error
    assert not scanner.at_boundary
    frames = scanner.frames
    scanner.feed(frame(0x81), 6)
    assert scanner.frames == frames


def test_a_server_does_not_mask() -> None:
    assert scanned(frame(0x81), Side.SERVER).error == "a server's frame is masked"


def test_compressed_messages() -> None:
    data = frame(0x41, b"a") + frame(0x80, b"b") + frame(0xC2, b"c")
    scanner = scanned(data, rsv=RSV1)
    assert scanner.error is None
    assert scanner.messages == 2
    assert scanner.rsv == RSV1
    assert scanned(frame(0x41) + frame(0xC0), rsv=RSV1).error == "a reserved bit is set"
    assert scanned(frame(0xC9), rsv=RSV1).error == "a reserved bit is set"
    assert scanned(frame(0xA1), rsv=RSV1).error == "a reserved bit is set"


def test_a_frame_larger_than_any_buffer() -> None:
    head = frame(0x82, length=1 << 40)
    scanner = scanned(head)
    assert not scanner.at_boundary
    chunk = bytes(65536)
    for _ in range(10):
        scanner.feed(chunk, len(chunk))
    assert scanner.error is None
    assert scanner.frames == 1


# --- oracles -------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What an oracle saw: the same things the scanner counts."""

    frames: int = 0
    messages: int = 0
    pings: int = 0
    pongs: int = 0
    close_code: int | None = None
    error: bool = False


def wsproto_sees(data: bytes, side: Side) -> Seen:
    protocol = FrameProtocol(client=side is Side.SERVER, extensions=[])
    seen = Seen()
    protocol.receive_bytes(data)
    try:
        for event in protocol.received_frames():
            if event.opcode.iscontrol():
                seen.pings += event.opcode == 9
                seen.pongs += event.opcode == 10
                if event.opcode == 8 and seen.close_code is None:
                    seen.close_code = int(event.payload[0])
            elif event.frame_finished and event.message_finished:
                seen.messages += 1
    except ParseFailed:
        seen.error = True
    return seen


def websockets_sees(data: bytes, side: Side) -> Seen:
    protocol = Protocol(TheirSide.SERVER if side is Side.CLIENT else TheirSide.CLIENT, max_size=None)
    protocol.receive_data(data)
    seen = Seen(error=protocol.parser_exc is not None)
    for event in protocol.events_received():
        seen.frames += 1
        seen.pings += event.opcode is Opcode.PING
        seen.pongs += event.opcode is Opcode.PONG
        if event.opcode is Opcode.CLOSE:
            seen.close_code = int.from_bytes(event.data[:2], "big") if event.data else NO_CODE
        elif event.opcode < 8 and event.fin:
            seen.messages += 1
    return seen


FIRSTS = [0x81, 0x82] * 6 + [0x01, 0x02, 0x00, 0x80, 0x89, 0x8A] * 2 + [0x88, 0x83, 0x09, 0xC1, 0x8B]


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, Side]:
    """Frames, mostly good ones, in an order that is mostly good."""
    side = draw(st.sampled_from(Side))
    data = b""
    open_message = False
    for _ in range(draw(st.integers(1, 8))):
        first = draw(st.sampled_from(FIRSTS))
        if draw(st.integers(0, 9)):
            if first in (0x81, 0x82, 0x01, 0x02) and open_message:
                first &= 0x80
            elif first in (0x00, 0x80) and not open_message:
                first |= 0x02
        if not first & 0x08:
            open_message = first < 0x80
        payload = b"a" * draw(SIZES if not first & 0x08 else st.sampled_from([0, 1, 2, 125, 126]))
        if first == 0x88 and len(payload) >= 2:
            payload = draw(st.sampled_from([1000, 1001, 1005, 1015, 3000, 5000, 0])).to_bytes(2, "big") + payload[2:]
        data += frame(first, payload, draw(st.sampled_from([side] * 20 + [Side.CLIENT])))
    cut = draw(st.sampled_from([0] * 5 + [1, 2, 5, 9, 100]))
    return data[: len(data) - cut] if cut < len(data) else data, side


# The oracles look at a frame only when all of it is there; we at its first bytes.
REST_OF_A_FRAME = bytes(70000)


@settings(max_examples=400, deadline=None)
@given(streams(), st.integers(1, 400))
def test_against_websockets(stream: tuple[bytes, Side], step: int) -> None:
    data, side = stream
    ours = scanned(data, side, step)
    if ours.close_code is not None:
        # It stops at a close frame; we go on, as the other side may not have seen it yet.
        assert websockets_sees(data, side).close_code in (ours.close_code, None)
    elif ours.error is not None:
        assert websockets_sees(data + REST_OF_A_FRAME, side).error, ours.error
    elif ours.at_boundary:
        theirs = websockets_sees(data, side)
        assert theirs == Seen(ours.frames, ours.messages, ours.pings, ours.pongs)


@settings(max_examples=400, deadline=None)
@given(streams(), st.integers(1, 400))
def test_against_wsproto(stream: tuple[bytes, Side], step: int) -> None:
    data, side = stream
    ours = scanned(data, side, step)
    if ours.close_code is not None:
        return
    if ours.error is not None:
        theirs = wsproto_sees(data + REST_OF_A_FRAME, side)
        assert theirs.error or theirs.close_code is not None, ours.error
    elif ours.at_boundary:
        theirs = wsproto_sees(data, side)
        assert theirs == Seen(0, ours.messages, ours.pings, ours.pongs)


@settings(max_examples=300, deadline=None)
@given(streams(), st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_the_pieces_do_not_matter(stream: tuple[bytes, Side], steps: list[int]) -> None:
    data, side = stream
    whole = scanned(data, side)
    cut = FrameScanner(side)
    at = turn = 0
    while at < len(data):
        size = min(steps[turn % len(steps)] * (1 if turn % 3 else 97), len(data) - at)
        cut.feed(memoryview(data)[at:], size)
        at += size
        turn += 1
    for name in ("frames", "messages", "pings", "pongs", "close_code", "error", "first", "length", "at_boundary"):
        assert getattr(cut, name) == getattr(whole, name), name


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100), st.integers(1, 100), st.sampled_from(Side), st.sampled_from([0, RSV1]))
def test_noise(data: bytes, step: int, side: Side, rsv: int) -> None:
    scanner = scanned(data, side, step, rsv)
    assert len(scanner._pending) < 16


# --- builders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [None, MASK])
def test_builders(mask: bytes | None) -> None:
    side = Side.SERVER if mask is None else Side.CLIENT
    assert close_frame(1012, "restart", mask) == frame(0x88, b"\x03\xf4restart", side)
    assert ping_frame(b"abc", mask) == frame(0x89, b"abc", side)
    assert pong_frame(b"abc", mask) == frame(0x8A, b"abc", side)
    assert ping_frame(mask=mask) == frame(0x89, b"", side)
    scanner = scanned(ping_frame(mask=mask) + close_frame(4999, mask=mask), side)
    assert (scanner.pings, scanner.close_code, scanner.error) == (1, 4999, None)


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
