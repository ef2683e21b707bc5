"""The client's end of a conversation, against another implementation's server."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from penstock.websocket.client import FrameReader, MessageReader, ask, data_frame
from penstock.websocket.direction import Direction
from penstock.websocket.frames import CLOSE, PING, TEXT, FrameSender
from penstock.websocket.handshake import check_request

MASK = b"\x01\x02\xf3\x04"


def server_frame(opcode: int, payload: bytes, *, fin: bool = True, compressed: bool = False) -> bytes:
    first = opcode | 0x80 * fin | 0x40 * compressed
    size = len(payload)
    return bytes((first, size) if size < 126 else (first, 126, size >> 8, size & 255)) + payload


def chunked(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at = [], 0
    for size in [*sizes, len(data)]:
        chunks.append(data[at : at + size])
        at += size
    return chunks


@pytest.mark.parametrize("more", [(), (("X-Token", "1"), ("Origin", "https://a.example"))])
def test_the_request_is_a_handshake(more) -> None:
    made = ask("/chat?a=b", "example.com:8080", "dGhlIHNhbXBsZSBub25jZQ==", origin="http://example.com", more=more)
    assert check_request(made) == []
    assert bytes(made).startswith(b"GET /chat?a=b HTTP/1.1\r\nHost: example.com:8080\r\n")
    assert bytes(made).count(b"Origin:") == 1


def test_a_header_of_ones_own_replaces_or_removes() -> None:
    made = ask("/", "a", "k", more=(("host", "b"), ("Sec-WebSocket-Extensions", "")))
    assert made.fields["host"] == "b"
    assert "sec-websocket-extensions" not in made.fields


@given(st.binary(max_size=300) | st.integers(60000, 70000).map(bytes), st.sampled_from([1, 2]))
def test_a_data_frame_is_one(payload: bytes, opcode: int) -> None:
    frame = data_frame(opcode, payload, MASK)
    way = Direction(FrameSender.CLIENT)
    assert way.feed(frame, 0.0) == frame
    assert (way.broken, way.messages, way.payload, way.at_boundary) == (None, 1, len(payload), True)
    assert frame.endswith(MASK + bytes(byte ^ MASK[at & 3] for at, byte in enumerate(payload)))


@given(
    st.lists(
        st.tuples(st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING]), st.binary(max_size=200)), max_size=6
    ),
    st.lists(st.integers(0, 90), max_size=20),
)
def test_frames_come_whole_however_they_are_cut(sent, sizes) -> None:
    sent = [(opcode, payload[:125] if opcode is Opcode.PING else payload) for opcode, payload in sent]
    wire = b"".join(TheirFrame(opcode, payload).serialize(mask=False) for opcode, payload in sent)
    reader = FrameReader(deflate=False)
    found = [frame for chunk in chunked(wire, sizes) for frame in reader.feed(chunk)]
    assert [(frame.opcode, frame.payload) for frame in found] == [(int(opcode), payload) for opcode, payload in sent]
    assert reader.error is None


def test_what_precedes_a_broken_frame_is_heard() -> None:
    good = TheirFrame(Opcode.TEXT, b"hello").serialize(mask=False)
    close = TheirFrame(Opcode.CLOSE, b"\x03\xf0later").serialize(mask=False)
    reader = FrameReader(deflate=False)
    found = reader.feed(good + b"\x83\x00" + close)
    assert [frame.payload for frame in found] == [b"hello"]
    assert reader.error == "the opcode is 0x3"


def test_a_long_payload_is_cut_and_not_kept() -> None:
    reader = FrameReader(deflate=False, limit=10)
    reader.feed(b"\x82\x7f" + (1 << 20).to_bytes(8, "big"))
    for _ in range(1 << 10):
        found = reader.feed(bytes(1 << 10))
    assert [len(frame.payload) for frame in found] == [10]


def test_a_close_frame_says_why() -> None:
    [frame] = FrameReader(deflate=False).feed(TheirFrame(Opcode.CLOSE, b"\x03\xf4again").serialize(mask=False))
    assert (frame.opcode, frame.close_code, frame.close_reason) == (CLOSE, 1012, "again")


@pytest.mark.parametrize("keeps_context", [True, False])
def test_compressed_messages_are_inflated(keeps_context: bool) -> None:
    deflater = zlib.compressobj(wbits=-12)
    frames, messages = FrameReader(deflate=True), MessageReader(deflate=True, keeps_context=keeps_context)
    for text in (b"again and again", b"again and again", b""):
        if not keeps_context:
            deflater = zlib.compressobj(wbits=-12)
        payload = (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        first = server_frame(TEXT, payload[:3], fin=False, compressed=True)
        ping = server_frame(PING, b"")
        last = server_frame(0, payload[3:])
        found = frames.feed(first + ping + last)
        assert frames.error is None
        taken = [messages.add(frame) for frame in found if frame.opcode != PING]
        assert taken == [None, (TEXT, text)]


def test_a_bomb_stays_small() -> None:
    payload = zlib.compress(bytes(1 << 22), wbits=-15)
    reader = MessageReader(deflate=True, limit=1000)
    [frame] = FrameReader(deflate=True).feed(server_frame(2, payload, compressed=True))
    taken = reader.add(frame)
    assert taken is not None
    assert len(taken[1]) == 1000
