"""Chunked bodies: cut anywhere they give the same data; what is not well formed is refused; nothing grows."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.http.chunked import LAST_CHUNK, ChunkedDecoder, RequestBodyDecoder, encode_chunk, last_chunk
from penstock.http.errors import BadMessage, BadRequest, BadResponse


def decode(data: bytes, step: int = 1 << 30) -> tuple[bytes, ChunkedDecoder]:
    decoder = RequestBodyDecoder()
    body = b""
    for at in range(0, len(data), step):
        body += b"".join(decoder.feed(data[at : at + step]))
    return body, decoder


def test_a_body() -> None:
    body, decoder = decode(b"5\r\nhello\r\n6 ;a=b\r\n world\r\n000\r\nX-Sum: 1\r\n\r\nGET")
    assert body == b"hello world"
    assert decoder.done
    assert decoder.rest == b"GET"
    assert decoder.trailers == [("X-Sum", "1")]
    assert decoder.feed(b" /") == []
    assert decoder.rest == b"GET /"


def test_one_read_is_one_piece_for_each_chunk() -> None:
    assert ChunkedDecoder().feed(b"3\r\nabc\r\n2\r\nde") == [b"abc", b"de"]


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.integers(1, 20))
def test_what_is_encoded_is_decoded(chunks: list[bytes], step: int) -> None:
    data = b"".join(map(encode_chunk, chunks)) + last_chunk([("X", "y")]) + b"next"
    body, decoder = decode(data, step)
    assert body == b"".join(chunks)
    assert decoder.done
    assert decoder.trailers == [("X", "y")]
    assert decoder.rest == b"next"


def test_encoding() -> None:
    assert encode_chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
    assert encode_chunk(b"") == b""
    assert LAST_CHUNK == last_chunk([]) == b"0\r\n\r\n"


INVALID = [
    b"\r\n",
    b"g\r\n",
    b"-1\r\n",
    b"+1\r\n",
    b"0x1\r\n",
    b" 1\r\n",
    b"1 1\r\n",
    b"1\n",
    b"1\r\r\n",
    b"1;a\n",
    b"1;a\rb\r\n",
    b"1;\x00\r\n",
    b"1\r\naX",
    b"1\r\na\n",
    b"1\r\nab\r\n",
    b"1000000000000000\r\n",
    b"ffffffffffffffff\r\n",
    b"fffffffffffffffffffffffff\r\n",
    b"0\r\n\n",
    b"0\r\nX: y\n\r\n",
    b"0\r\nX : y\r\n\r\n",
    b"0\r\nX\r\n\r\n",
    b"0\r\n X: y\r\n\r\n",
    b"0\r\nX: y\r\n z\r\n\r\n",
    b"0\r\nX: \x00\r\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n",
    b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"0\r\nhost: a\r\n\r\n",
]


@pytest.mark.parametrize("data", INVALID)
@pytest.mark.parametrize("step", [1, 1000])
def test_invalid(data: bytes, step: int) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(data, step)
    assert caught.value.status == 400
    assert caught.value.reason.startswith("client sent ")


def test_whose_fault() -> None:
    with pytest.raises(BadResponse) as caught:
        ChunkedDecoder().feed(b"x\r\n")
    assert (caught.value.status, caught.value.reason) == (502, "upstream sent invalid chunked body")


def test_only_harmless_trailers_are_kept() -> None:
    _, decoder = decode(b"0\r\nSet-Cookie: a\r\nX: b\r\nConnection: close\r\n(odd): c\r\nServer-Timing: d\r\n\r\n")
    assert decoder.trailers == [("X", "b"), ("Server-Timing", "d")]


@pytest.mark.parametrize(
    "piece",
    [b"0", b"1;" + b"a" * 10, b"1\r\nx\r\n"[:0] + b"1;" + b"e" * 3000 + b"\r\nx\r\n", b"0\r\n" + b"X: y\r\n" * 9],
)
def test_nothing_grows(piece: bytes) -> None:
    decoder = RequestBodyDecoder()
    sent = 0
    with pytest.raises(BadRequest):
        decoder.feed(piece)
        while sent < 1_000_000:
            more = (
                piece if piece.endswith(b"x\r\n") else b"0" if piece == b"0" else b"a: b\r\n" if b"X" in piece else b"a"
            )
            decoder.feed(more)
            sent += len(more)


def test_small_chunks_are_not_waste() -> None:
    decoder = RequestBodyDecoder()
    for _ in range(20000):
        assert decoder.feed(b"1\r\nx\r\n") == [b"x"]


# --- h11 -----------------------------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        b"1\r\na\r\n",
        b"3\r\nabc\r\n",
        b"A;x=y\r\n0123456789\r\n",
        b"0\r\n\r\n",
        b"0\r\nX: y\r\n\r\n",
        b"\r\n",
        b"\n",
        b"a",
        b"2",
        b"1 \r\nb\r\n",
        b"; ",
    ]
)


def h11_body(data: bytes) -> bytes | None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return body
            elif event is h11.NEED_DATA:
                return None
    except h11.RemoteProtocolError:
        return None


@settings(max_examples=500)
@given(st.lists(PARTS, max_size=6), st.integers(1, 9))
def test_against_h11(parts: list[bytes], step: int) -> None:
    data = b"".join(parts)
    try:
        body, decoder = decode(data, step)
    except BadRequest:
        # h11 takes line feeds alone in trailers; nothing else that we do not.
        assert h11_body(data) is None or b"0\r\n\n" in data or b"\r\n\n" in data, data
        return
    if decoder.done:
        assert h11_body(data) == body


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(1, 60))
def test_noise(data: bytes, step: int) -> None:
    for prefix in (b"", b"1;", b"0\r\n", b"2\r\nab"):
        try:
            decode(prefix + data, step)
        except BadMessage as error:
            assert isinstance(error, BadRequest)
