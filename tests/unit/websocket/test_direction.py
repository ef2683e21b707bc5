"""One direction of a conversation: what is passed on, what is counted, what is refused, wherever the bytes are cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import Protocol
from websockets.protocol import Side as TheirSide
from wsproto.frame_protocol import FrameProtocol

from penstock.websocket.close_reasons import Why
from penstock.websocket.direction import (
    ANSWERED,
    BARE,
    BLIND,
    BROKEN,
    CLOSED,
    DROP,
    FINISHED,
    OVER,
    Direction,
)
from penstock.websocket.extensions import compresses, reserved_bits
from penstock.websocket.frames import NO_CODE, RSV1, FrameSender, close_frame, control_frame, ping_frame, pong_frame
from penstock.websocket.terms import DirectionLimits
from unit.websocket.streams import frame, good_frames, pieces

STEPS = [1, 2, 3, 7, 1 << 30]


def by(step: int, data: bytes) -> Iterable[bytes]:
    return (data[at : at + step] for at in range(0, len(data), step))


def fed(way: Direction, parts: Iterable[bytes], now: float = 0.0) -> bytes:
    """What is passed on; pieces come in a buffer that is used again, as the worker's is."""
    out = bytearray()
    for part in parts:
        buffer = bytearray(part)
        out += way.feed(memoryview(buffer), now)
        buffer[:] = bytes(len(buffer))
    return bytes(out)


def passed(
    data: bytes, side: FrameSender = FrameSender.CLIENT, step: int = 1 << 30, **options: object
) -> tuple[Direction, bytes]:
    way = Direction(side, **options)  # type: ignore[arg-type]
    return way, fed(way, by(step, data))


# -- what others make of the same bytes

SEEN: Counter[str] = Counter()
EXAMPLES, FRAMES = 200, 500


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 1 << 40), st.sampled_from(FrameSender))
def test_against_websockets_and_wsproto(seed: int, side: FrameSender) -> None:
    frames = good_frames(seed, FRAMES, side)
    data = b"".join(frames)
    way = Direction(side)
    assert fed(way, pieces(data, seed)) == data
    theirs = Protocol(TheirSide.SERVER if side is FrameSender.CLIENT else TheirSide.CLIENT, max_size=None)
    theirs.receive_data(data)
    events = theirs.events_received()
    kinds = Counter(event.opcode for event in events)
    assert way.frames == len(events) == FRAMES
    assert way.messages == sum(event.opcode < 8 and event.fin for event in events)
    assert (way.pings, way.pongs) == (kinds[Opcode.PING], kinds[Opcode.PONG])
    assert way.payload == sum(len(event.data) for event in events if event.opcode < 8)
    other = FrameProtocol(client=side is FrameSender.SERVER, extensions=[])
    other.receive_bytes(data)
    got = list(other.received_frames())
    assert way.messages == sum(not each.opcode.iscontrol() and each.message_finished for each in got)
    assert way.payload == sum(len(each.payload) for each in got if not each.opcode.iscontrol())
    assert (way.broken, way.news) == (None, 0)
    SEEN["frames"] += FRAMES


@settings(max_examples=60)
@given(st.integers(0, 1 << 40), st.sampled_from(FrameSender), st.integers(0, FRAMES - 1), st.integers(0, 255))
def test_one_wrong_byte(seed: int, side: FrameSender, place: int, wrong: int) -> None:
    """A first byte is exchanged: both see it, or neither does, and nothing from there on is passed on."""
    frames = good_frames(seed, FRAMES, side)
    before = b"".join(frames[:place])
    data = before + bytes((wrong,)) + b"".join(frames[place:])[1:]
    way = Direction(side)
    out = fed(way, pieces(data, seed))
    theirs = Protocol(TheirSide.SERVER if side is FrameSender.CLIENT else TheirSide.CLIENT, max_size=None)
    theirs.receive_data(data + bytes(70000))
    if way.broken is not None:
        assert out == data[: len(out)] and len(out) >= len(before)
        assert theirs.parser_exc is not None
        assert way.mode == OVER
    elif way.close_code is not None:
        assert theirs.close_rcvd is not None and theirs.close_rcvd.code == way.close_code
    else:
        assert out == data
    SEEN["frames"] += place


def test_how_many_frames_that_were() -> None:
    """A hundred thousand, between them, where this file runs as a whole."""
    if SEEN["frames"]:  # otherwise another worker, or nobody, has run them
        assert SEEN["frames"] >= 100_000


@settings(max_examples=200)
@given(
    st.sampled_from(FrameSender),
    st.sampled_from([0, 1, 125, 126, 127, 65535, 65536, 70000]),
    st.integers(0, 90000),
    st.sampled_from([0, 126, 200, 65536]),
)
def test_the_second_quickest_way(side: FrameSender, size: int, cut: int, limit: int) -> None:
    """What it takes in comes to the same as the long way; what it leaves is untouched."""
    data = (frame(0x82, b"a" * size, side) + frame(0x81, b"more", side))[: max(2, cut)]
    quick, slow = (
        Direction(side, limits=DirectionLimits(message=limit)),
        Direction(side, limits=DirectionLimits(message=limit)),
    )
    before = quick.state()
    if data[1] & 0x7F < 126 or not quick.begins(memoryview(data), len(data)):
        assert quick.state() == before
        return
    assert fed(slow, [data]) == data
    for way in (quick, slow):
        fed(way, [frame(0x82, b"a" * size, side)[len(data) :], frame(0x81, b"next", side)])
    assert (quick.frames, quick.messages, quick.payload) == (slow.frames, slow.messages, slow.payload)
    assert quick.frames == 2 and quick.broken is None and not quick.busy


def unchanged(opcode: int, payload: bytes, mask: bytes | None) -> bytes:
    """A control frame that came without a mask, as it came: the mask it would get is random."""
    return control_frame(opcode, payload, None)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(1, 100), st.sampled_from(FrameSender), st.sampled_from([0, RSV1, 0x70]))
@example(b"\x8a\x01x\x81\x80\0\0\0\0", 2, FrameSender.CLIENT, 0)
def test_noise(data: bytes, step: int, side: FrameSender, rsv: int) -> None:
    with patch("penstock.websocket.direction.control_frame", unchanged):
        any_noise(data, step, side, rsv)


def any_noise(data: bytes, step: int, side: FrameSender, rsv: int) -> None:
    way, out = passed(data, side, step, rsv=rsv)
    assert data.startswith(out)
    assert len(out) + len(way._held) == len(data) or way.mode == OVER
    assert len(way._held) <= 131
    blind, everything = passed(data, side, step, rsv=rsv, lenient=True)
    if blind.close_code is None:
        assert everything + blind._held == data


# -- rules

WRONG = [
    (frame(0x81, b"", FrameSender.SERVER), "a client's frame is not masked"),
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
    (bytes((0x82, 0xFE, 0, 125)) + b"\1\2\3\4", "a length is not in its shortest form"),
    (frame(0x82, length=65535), "a length is not in its shortest form, or has 64 bits"),
    (frame(0x82, length=1 << 63), "a length is not in its shortest form, or has 64 bits"),
]


@pytest.mark.parametrize(("data", "wrong"), WRONG)
@pytest.mark.parametrize("step", STEPS)
def test_what_breaks_the_protocol(data: bytes, wrong: str, step: int) -> None:
    good = frame(0x81, b"ok") + frame(0x82, b"a" * 300)
    way, out = passed(good + data + frame(0x81, b"more") * 3, step=step)
    assert (way.broken, way.wrong, way.news) == (Why.PROTOCOL, wrong, BROKEN)
    assert out in (good, good + frame(0x01), good + frame(0x02)), "nothing of a wrong frame is passed on"
    assert way.at_boundary, "a close frame may follow"
    assert way.feed(frame(0x81), 0.0) == b""


@pytest.mark.parametrize(("data", "wrong"), WRONG)
@pytest.mark.parametrize("step", STEPS)
def test_where_that_is_not_our_business(data: bytes, wrong: str, step: int) -> None:
    data = frame(0x81, b"ok") + data + bytes(100)
    way, out = passed(data, step=step, lenient=True)
    assert out == data
    assert (way.mode, way.news, way.wrong) == (BLIND, BROKEN, wrong)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("lenient", [False, True])
def test_a_client_may_leave_the_mask_out_of_control_frames(step: int, lenient: bool) -> None:
    """They go on with one; the pong to a ping of ours stays here."""
    way = Direction(FrameSender.CLIENT, lenient=lenient)
    way.awaited = b"token"
    bare = [pong_frame(b"token"), ping_frame(b"are you there"), pong_frame(), close_frame(1000, "bye")]
    out = fed(way, by(step, frame(0x81, b"one") + bare[0] + bare[1] + frame(0x82, b"two") + bare[2] + bare[3]))
    theirs = Protocol(TheirSide.SERVER, max_size=None)
    theirs.receive_data(out)
    got = [(each.opcode, bytes(each.data)) for each in theirs.events_received()]
    assert got == [
        (Opcode.TEXT, b"one"),
        (Opcode.PING, b"are you there"),
        (Opcode.BINARY, b"two"),
        (Opcode.PONG, b""),
        (Opcode.CLOSE, b"\x03\xe8bye"),
    ]
    assert way.news == ANSWERED | CLOSED and way.broken is None and way.close_code == 1000
    assert (way.pings, way.pongs, way.messages) == (1, 1, 2)


def test_a_bare_control_frame_inside_a_message_and_while_dropping() -> None:
    way = Direction(FrameSender.CLIENT)
    assert fed(way, [frame(0x01, b"first"), pong_frame(b"")])[:12] == frame(0x01, b"first") + b"\x8a"
    way.drop()
    assert fed(way, [pong_frame(b"x") + close_frame(1001)]) == b""
    assert way.close_code == 1001


@pytest.mark.parametrize("bare", [pong_frame(), ping_frame(b"x" * 125), pong_frame(b"token")])
def test_bare_control_frames_without_end(bare: bytes) -> None:
    """Each is masked here, and grows. Who answers pings sends some; who sends nothing else is not worth the work."""
    way = Direction(FrameSender.CLIENT)
    fed(way, [bare] * BARE)
    assert not way.broken
    fed(way, [bare] * 200, now=2.0)
    assert not way.broken and way.pings + way.pongs == BARE + 200
    fed(way, [bare * 40_000], now=2.0)
    assert way.broken is Why.PROTOCOL and "too many" in way.wrong and way.pings + way.pongs <= BARE + 202
    masked = Direction(FrameSender.CLIENT)
    fed(masked, [ping_frame(b"", bytes(4)) * 3 * BARE])
    assert not masked.broken and masked.pings == 3 * BARE


def test_bare_data_is_not_taken() -> None:
    way, out = passed(pong_frame(b"") + frame(0x81, b"", FrameSender.SERVER))
    assert way.wrong == "a client's frame is not masked" and out[:2] == b"\x8a\x80"


def test_a_server_does_not_mask() -> None:
    assert passed(frame(0x81), FrameSender.SERVER)[0].wrong == "a server's frame is masked"


@pytest.mark.parametrize("step", STEPS)
def test_extensions(step: int) -> None:
    deflated = frame(0x41, b"a") + frame(0x80, b"b") + frame(0xC2, b"c")
    way, out = passed(deflated, step=step, rsv=reserved_bits("permessage-deflate; client_max_window_bits=15"))
    assert (out, way.messages, way.broken) == (deflated, 2, None)
    assert passed(deflated)[0].wrong == "a reserved bit is set"
    assert passed(frame(0x41) + frame(0xC0), rsv=RSV1)[0].wrong == "a reserved bit is set"
    unknown = reserved_bits("foo, permessage-deflate")
    assert passed(frame(0x71) + frame(0xF0), rsv=unknown)[0].broken is None
    assert reserved_bits(None) == reserved_bits(" , ") == 0
    assert compresses("foo, permessage-deflate; x") and not compresses("foo") and not compresses(None)


# -- what is held back, swallowed, cut


@pytest.mark.parametrize("side", FrameSender)
@pytest.mark.parametrize("step", STEPS)
def test_our_pong_is_swallowed_and_no_other(side: FrameSender, step: int) -> None:
    mask = b"\1\2\3\4" if side else None
    before, after = frame(0x01, b"a", side), frame(0x80, b"b" * 200, side) + frame(0x81, b"c", side)
    others = pong_frame(b"other", mask) + ping_frame(b"token", mask)
    way = Direction(side)
    way.awaited = b"token"
    data = before + others + pong_frame(b"token", mask) + after + pong_frame(b"token", mask)
    assert fed(way, by(step, data)) == before + others + after + pong_frame(b"token", mask)
    assert (way.news, way.awaited, way.pongs, way.pings) == (ANSWERED, None, 2, 1)


def test_a_control_frame_is_passed_on_whole() -> None:
    way = Direction(FrameSender.CLIENT)
    ping = ping_frame(b"x" * 125, b"abcd")
    for byte in ping[:-1]:
        assert way.feed(bytes((byte,)), 0.0) == b""
        assert way.at_boundary
    assert way.feed(ping[-1:], 0.0) == ping


@pytest.mark.parametrize("step", STEPS)
def test_nothing_follows_a_close_frame(step: int) -> None:
    close = frame(0x88, b"\x0f\xa0bye")
    way, out = passed(frame(0x81) + close + frame(0x81) + b"noise", step=step)
    assert out == frame(0x81) + close
    assert (way.close_code, way.news, way.mode) == (4000, CLOSED, OVER)
    assert passed(frame(0x88))[0].close_code == NO_CODE


@pytest.mark.parametrize("step", [1, 5, 40, 1 << 30])
def test_the_frame_under_way_is_finished(step: int) -> None:
    long = frame(0x82, b"z" * 100)
    way = Direction(FrameSender.CLIENT)
    out = fed(way, [long[:50]])
    way.finish()
    assert not way.at_boundary
    out += fed(way, by(step, long[50:] + frame(0x81, b"late") + close_frame(1000, mask=b"1234")))
    assert out == long
    assert way.at_boundary
    assert way.close_code == 1000, "what comes later is looked at, and not passed on"
    assert way.news == FINISHED | CLOSED


def test_dropped_at_once_between_frames() -> None:
    way = Direction(FrameSender.CLIENT)
    head = frame(0x82, b"z" * 300)
    assert way.feed(head[:3], 0.0) == b""
    way.finish()
    assert (way.mode, way.at_boundary) == (DROP, True)
    assert fed(way, [head[3:], frame(0x88)]) == b""
    assert way.close_code == NO_CODE


# -- limits


@pytest.mark.parametrize("step", STEPS)
def test_sizes(step: int) -> None:
    small = frame(0x82, b"a" * 1000)
    way, out = passed(small + frame(0x82, b"a" * 1001), step=step, limits=DirectionLimits(message=1000))
    assert (way.broken, out) == (Why.MESSAGE_SIZE, small)
    parts = frame(0x02, b"a" * 600) + frame(0x00, b"a" * 400) + frame(0x80, b"a")
    way, out = passed(small + parts, step=step, limits=DirectionLimits(message=1000))
    assert (way.broken, out) == (Why.MESSAGE_SIZE, small + frame(0x02, b"a" * 600) + frame(0x00, b"a" * 400))
    assert passed(parts, step=step, limits=DirectionLimits(message=1001))[0].broken is None
    assert passed(parts, step=step, limits=DirectionLimits(frame=600))[0].broken is None
    assert passed(parts, step=step, limits=DirectionLimits(frame=599))[0].broken is Why.FRAME_SIZE
    assert passed(frame(0x81, b"abc") * 3, step=step, limits=DirectionLimits(message=2))[0].broken is Why.MESSAGE_SIZE
    assert passed(frame(0x82, length=1 << 62), step=step, limits=DirectionLimits(message=1 << 20))[0].mode == OVER


@pytest.mark.parametrize("step", STEPS)
def test_rate(step: int) -> None:
    one = frame(0x81, b"a")
    way = Direction(FrameSender.CLIENT, limits=DirectionLimits(rate=10.0, burst=2))
    assert fed(way, by(step, one * 3)) == one * 3
    assert way.broken is None
    assert fed(way, by(step, one), now=0.1) == one
    assert fed(way, by(step, one * 2), now=0.2) == one
    assert way.broken is Why.RATE
    way = Direction(FrameSender.CLIENT, limits=DirectionLimits(rate=10.0))
    for tenth in range(50):
        assert fed(way, by(step, one), now=tenth / 10) == one
    assert fed(way, [ping_frame(b"", b"1234")], now=4.95) == b"", "control frames count too"


@settings(max_examples=60)
@given(st.integers(0, 1 << 40), st.sampled_from(FrameSender), st.integers(0, 3000))
def test_going_on_elsewhere(seed: int, side: FrameSender, place: int) -> None:
    """A direction that is described and restored in the middle of anything goes on as if nothing had been."""
    data = b"".join(good_frames(seed, 40, side))
    place = min(place, len(data))
    one = Direction(side, limits=DirectionLimits(message=1 << 20))
    out = fed(one, pieces(data[:place], seed))
    two = Direction(side, limits=DirectionLimits(message=1 << 20))
    two.restore(one.state())
    out += fed(two, pieces(data[place:], seed))
    whole = Direction(side)
    fed(whole, [data])
    assert out == data
    assert (two.frames, two.messages, two.payload) == (whole.frames, whole.messages, whole.payload)
