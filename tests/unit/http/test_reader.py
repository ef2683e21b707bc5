"""Heads out of a stream: however it is cut, the same heads come out; limits as nginx counts them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.http.errors import BadRequest
from penstock.http.head import HeadOptions, RequestHead
from penstock.http.reader import HeadReader

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nX: y\r\n\r\n"


def heads(reader: HeadReader, pieces: list[bytes]) -> list[RequestHead]:
    found = []
    for piece in pieces:
        while (head := reader.feed(piece)) is not None:
            found.append(head)
            piece = reader.rest
            if not piece:
                break
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [*sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@settings(max_examples=200)
@given(st.lists(st.integers(0, 1000), max_size=8), st.booleans())
def test_pipelined_requests_cut_anywhere(places: list[int], bare: bool) -> None:
    data = GET + POST + b"\r\n" + GET + GET
    found = heads(HeadReader(HeadOptions(bare_line_feeds=bare)), cut(data, places))
    assert [head.target for head in found] == ["/a", "/b", "/a", "/a"]
    assert [head.length for head in found] == [len(GET), len(POST), len(GET), len(GET)]


@settings(max_examples=200)
@given(st.lists(st.integers(0, 1000), max_size=8))
def test_line_feeds_alone_cut_anywhere(places: list[int]) -> None:
    data = b"GET /a HTTP/1.0\n\nGET /b HTTP/1.1\nHost: a\r\n\nGET /c HTTP/1.0\r\n\r\n"
    found = heads(HeadReader(HeadOptions(bare_line_feeds=True)), cut(data, places))
    assert [head.target for head in found] == ["/a", "/b", "/c"]


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(["\r\n", "\n"]), min_size=4, max_size=4),
    st.lists(st.integers(0, 100), max_size=5),
    st.sampled_from(["a", "a b", " a ", ""]),
)
def test_ends_of_lines_in_any_mixture(ends: list[str], places: list[int], value: str) -> None:
    lines = ["GET /a HTTP/1.1", "Host: h", f"X: {value}", ""]
    data = "".join(line + end for line, end in zip(lines, ends, strict=True)).encode()
    reader = HeadReader(HeadOptions(bare_line_feeds=True))
    (head,) = heads(reader, cut(data, places))
    assert head.headers == [("Host", "h"), ("X", value.strip())]
    assert (head.line, head.length, reader.rest) == ("GET /a HTTP/1.1", len(data), b"")


def test_rest_is_what_follows() -> None:
    reader = HeadReader()
    assert reader.feed(POST + b"abcGET") is not None
    assert reader.rest == b"abcGET"
    assert not reader.started


def test_started() -> None:
    reader = HeadReader()
    assert reader.feed(b"\r\n\r\n") is None
    assert not reader.started
    assert reader.feed(b"GET /a?b H") is None
    assert reader.started
    assert reader.line == "GET /a?b H"
    assert reader.feed(b"TTP/1.0\r\nX: y\r\n") is None
    assert reader.line == "GET /a?b HTTP/1.0"
    assert reader.feed(b"\r\n") is not None
    assert not reader.started


def test_a_refused_line_is_there_for_the_log() -> None:
    reader = HeadReader()
    with pytest.raises(BadRequest):
        reader.feed(b"GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n")
    assert reader.line == "GET /a HTTP/1.1"


@pytest.mark.parametrize(
    "start",
    [b"\x16\x03\x01", b"get", b"GET\x00", b"GET / HTTP/1.1\r\nX: \x00", b"GET / HTTP/3.0\r\n", b"GET / HTTP/1.1\n"],
)
def test_rubbish_is_not_waited_out(start: bytes) -> None:
    with pytest.raises(BadRequest):
        HeadReader().feed(start)


def outcome(lines: list[int], step: int, small: int, number: int, size: int) -> int:
    """The status for a head with lines of these lengths; 200 if it is taken."""
    first, *others = lines
    data = b"GET /%b HTTP/1.1\r\nHost: a\r\n" % (b"a" * (first - 16))
    data += b"".join(b"X: %b\r\n" % (b"b" * (length - 5)) for length in others) + b"\r\n"
    reader = HeadReader(small=small, number=number, size=size)
    try:
        for at in range(0, len(data), step):
            if reader.feed(data[at : at + step]) is not None:
                return 200
    except BadRequest as error:
        return error.status
    return 0


# Taken from a live nginx: the lines' lengths, client_header_buffer_size, large_client_header_buffers.
LIMITS = [
    ([200], 200, 3, 256, 200),
    ([256], 200, 3, 256, 200),
    ([257], 200, 3, 256, 414),
    ([400], 400, 2, 256, 200),
    ([401], 400, 2, 256, 414),
    ([300, 257], 400, 2, 256, 494),
    ([100, 256, 256], 200, 3, 256, 200),
    ([100, 257], 200, 3, 256, 494),
    ([100, 250, 250, 250], 200, 3, 256, 200),
    ([100, 250, 250, 250, 250], 200, 3, 256, 494),
    ([250, 250, 250, 200], 200, 3, 256, 494),
    ([100, 50, *[100] * 6], 200, 3, 256, 200),
    ([100, 50, *[100] * 7], 200, 3, 256, 494),
]


@pytest.mark.parametrize(("lines", "small", "number", "size", "status"), LIMITS)
@pytest.mark.parametrize("step", [1, 50, 10000])
def test_limits(lines: list[int], small: int, number: int, size: int, status: int, step: int) -> None:
    assert outcome(lines, step, small, number, size) == status


@settings(max_examples=200)
@given(st.lists(st.integers(17, 300), min_size=1, max_size=7), st.integers(1, 400))
def test_limits_do_not_depend_on_the_pieces(lines: list[int], step: int) -> None:
    assert outcome(lines, step, 200, 3, 256) == outcome(lines, 10000, 200, 3, 256)


def test_an_endless_head_does_not_pile_up() -> None:
    reader = HeadReader()
    sent = 0
    with pytest.raises(BadRequest) as caught:
        while sent < 100_000:
            assert reader.feed(b"X: y\r\n" if sent else b"GET / HTTP/1.1\r\n") is None
            sent += 6
    assert caught.value.status == 494
    assert sent < 1024 + 4 * 8192 + 100


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_noise(pieces: list[bytes]) -> None:
    reader = HeadReader()
    try:
        for piece in pieces:
            reader.feed(piece)
    except BadRequest as error:
        assert error.status in (400, 405, 414, 494, 501, 505)
        assert isinstance(reader.line, str)
