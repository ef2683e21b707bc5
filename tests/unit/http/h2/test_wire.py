"""One HTTP/2 connection as bytes: frames however they are cut, windows, and what ends a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.h2.events import DataReceived, RequestReceived, StreamReset, WindowUpdated
from penstock.http.h2.fields import NO_TABLE, content_length, field, status
from penstock.http.h2.wire import PREFACE, ConnectionFault, ErrorCodes, HalfStream, HeadLimits, SettingCodes, Wire
from penstock.http.line import value_safe

GET = b"\x82\x86\x84\x41\x09localhost"
TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=300)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def server(**more: int) -> Wire:
    wire = Wire({SettingCodes.INITIAL_WINDOW_SIZE: 100, SettingCodes.MAX_CONCURRENT_STREAMS: 10}, HeadLimits(**more))
    wire.announce()
    wire.take()
    return wire


@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_however_it_is_cut(cuts: list[int]) -> None:
    data = (
        PREFACE
        + frame(4, 0, 0)
        + frame(1, 0, 1, GET[:3])
        + frame(9, 4, 1, GET[3:])
        + frame(0, 0, 1, b"hello")
        + frame(0, 9, 1, b"\x03 you" + bytes(3))
        + frame(8, 0, 1, b"\0\0\0\5")
    )
    wire, events, at = server(), [], 0
    for cut in (*sorted(cuts), len(data)):
        events += list(wire.receive(data[at:cut]))
        at = max(at, min(cut, len(data)))
    asked = [event for event in events if isinstance(event, RequestReceived)]
    assert [dict(event.headers)[b":path"] for event in asked] == [b"/"]
    pieces = [event for event in events if isinstance(event, DataReceived)]
    assert b"".join(event.data for event in pieces) == b"hello you"
    assert [event.ended for event in pieces].count(True) == 1
    assert pieces[-1].ended
    assert [event.delta for event in events if isinstance(event, WindowUpdated)] == [5]
    assert not wire.incomplete


def opened(wire: Wire, *, ended: bool = True) -> HalfStream:
    list(wire.receive(PREFACE + frame(4, 0, 0) + frame(1, 5 if ended else 4, 1, GET)))
    wire.take()
    return wire.streams[1]


def test_a_stream_that_sends_more_than_it_may() -> None:
    wire = server()
    stream = opened(wire, ended=False)
    events = list(wire.receive(frame(0, 0, 1, bytes(101))))
    assert [type(event) for event in events] == [StreamReset]
    assert wire.take() == frame(3, 0, 1, int(ErrorCodes.FLOW_CONTROL_ERROR).to_bytes(4, "big"))
    assert not stream.receives


def test_windows_both_ways() -> None:
    wire = server()
    stream = opened(wire, ended=False)
    assert stream.granted == 100 and wire.room(stream) == 16384
    wire.grant(stream, 50)
    assert wire.take() == frame(8, 0, 1, b"\0\0\0\x32") and stream.granted == 150
    assert wire.data(stream, b"x" * 1000, 600, ended=False) == 1018
    assert wire.take() == frame(0, 0, 1, b"x" * 600) + frame(0, 0, 1, b"x" * 400)
    list(wire.receive(frame(4, 0, 0, b"\0\4\0\0\3\xe9")))
    assert wire.room(stream) == 1


def test_a_whole_answer_is_its_frames() -> None:
    wire = server()
    stream = opened(wire)
    assert wire.answer(stream, b"\x88", b"body") == 23
    assert wire.take() == frame(1, 4, 1, b"\x88") + frame(0, 1, 1, b"body")
    assert (stream.may_send, wire.may_send, stream.closed) == (65531, 65531, True)
    wire = server()
    stream = opened(wire)
    list(wire.receive(frame(4, 0, 0, b"\0\1\0\0\0\0")))
    wire.take()
    assert wire.answer(stream, b"\x88", b"") == 11
    assert wire.take() == frame(1, 5, 1, NO_TABLE + b"\x88") and stream.closed


def test_what_is_sent_last() -> None:
    wire = server()
    stream = opened(wire)
    wire.headers(stream, status(204), ended=True)
    assert wire.take() == frame(1, 5, 1, b"\x89") and stream.closed
    wire.goaway()
    assert wire.take() == frame(7, 0, 0, b"\0\0\0\1" + bytes(4))


def test_a_head_of_several_frames_and_a_table_that_was_changed() -> None:
    wire = server()
    stream = opened(wire)
    list(wire.receive(frame(4, 0, 0, b"\0\1\0\0\0\0")))
    wire.take()
    block = field("x-long", "\xff" * 20000)
    wire.headers(stream, block, ended=False)
    whole = NO_TABLE + block
    assert wire.take() == frame(1, 0, 1, whole[:16384]) + frame(9, 4, 1, whole[16384:])
    wire.headers(stream, block[:10], ended=False)
    assert wire.take() == frame(1, 4, 1, block[:10]), "it is said once"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(9, 4, 1, GET), ErrorCodes.PROTOCOL_ERROR),
        (frame(1, 5, 2, GET), ErrorCodes.PROTOCOL_ERROR),
        (frame(1, 5, 1, b"\xff" * 9), ErrorCodes.COMPRESSION_ERROR),
        (frame(1, 1, 1, GET) + frame(9, 0, 1) * 129, ErrorCodes.ENHANCE_YOUR_CALM),
        (frame(1, 5, 1, bytes(40000)), ErrorCodes.ENHANCE_YOUR_CALM),
        (b"\0\0\4\5\0\0\0\0\1", ErrorCodes.PROTOCOL_ERROR),
    ],
)
def test_what_ends_a_connection(data: bytes, code: ErrorCodes) -> None:
    wire = server()
    with pytest.raises(ConnectionFault) as caught:
        list(wire.receive(PREFACE + frame(4, 0, 0) + data))
    assert caught.value.code == code


@given(data=st.binary(max_size=300))
def test_whatever_comes_is_dealt_with(data: bytes) -> None:
    """Nothing but a fault comes out of it."""
    wire = server()
    try:
        list(wire.receive(PREFACE + frame(4, 0, 0) + data))
        list(wire.receive(frame(1, 5, 1, data)))
    except ConnectionFault as fault:
        assert 0 <= fault.code <= 13


@given(name=st.text("abc-xyz", min_size=1, max_size=20), value=TEXT)
def test_fields_are_read_as_they_were_written(name: str, value: str) -> None:
    """But for what HTTP/2 does not allow (RFC 9113, 8.2.1): blanks around a value, control characters."""
    from hpack import Decoder

    expected = (name.encode(), value_safe(value).strip(" \t").encode("latin-1"))
    assert list(Decoder().decode(field(name, value), raw=True)) == [expected]


@given(size=st.integers(0, 1 << 62))
def test_lengths_are_read_as_they_were_written(size: int) -> None:
    from hpack import Decoder

    assert list(Decoder().decode(content_length(size), raw=True)) == [(b"content-length", str(size).encode())]
