"""Records of FastCGI, written and read."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.fastcgi import END, STDERR, STDOUT, fcgi
from penstock.http.errors import BadResponse
from penstock.upstream.fastcgi.records import (
    CODING,
    LARGEST,
    PARAMS,
    RecordReader,
    begin,
    name_value,
    record,
    records,
    refusal,
)

DONE = fcgi(END, struct.pack(">IB3x", 7, 0))
CONTENT = st.lists(
    st.tuples(st.sampled_from((STDOUT, STDERR)), st.binary(min_size=1, max_size=40), st.integers(0, 255)), max_size=6
)


def read(data: bytes, steps: list[int]) -> tuple[dict[int, bytes], RecordReader]:
    """What comes of these bytes, in steps of these sizes."""
    reader = RecordReader()
    got: dict[int, bytes] = {}
    at = turn = 0
    while at < len(data):
        step = steps[turn % len(steps)]
        reader.feed(data[at : at + step])
        at += step
        turn += 1
        while (found := reader.next()) is not None:
            kind, content = found
            got[kind] = got.get(kind, b"") + content
    return got, reader


@given(CONTENT, st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_however_the_bytes_come_they_say_the_same(
    pieces: list[tuple[int, bytes, int]], steps: list[int]
) -> None:
    data = b"".join(fcgi(kind, content, padding=padding) for kind, content, padding in pieces) + DONE
    got, reader = read(data, steps)
    for kind in (STDOUT, STDERR):
        assert got.get(kind, b"") == b"".join(content for of, content, _ in pieces if of == kind)
    assert got[END] == DONE[8:]
    assert reader.clean
    reader.feed(b"x")
    assert reader.next() is None and not reader.clean


@given(st.binary(max_size=200), st.integers(1, 60))
def test_whatever_comes_is_read_or_refused(data: bytes, step: int) -> None:
    try:
        got, _ = read(data, [step])
    except BadResponse:
        return
    assert sum(map(len, got.values())) <= len(data)


@given(st.binary(min_size=1, max_size=30), st.binary(max_size=30), st.integers(0, 30))
def test_what_is_put_back_comes_again_before_the_rest(first: bytes, second: bytes, back: int) -> None:
    back = min(back, len(first))
    reader = RecordReader()
    reader.feed(fcgi(STDOUT, first, padding=3) + (fcgi(STDERR, second) if second else b""))
    assert reader.next() == (STDOUT, first)
    reader.unread(back)
    rest = reader.drain()
    assert reader.next() is None
    reader.feed(rest)
    if back:
        assert reader.next() == (STDOUT, first[-back:])
    assert reader.next() == ((STDERR, second) if second else None)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\2\6\0\1\0\0\0\0", "version: 2"),
        (b"\1\5\0\1\0\0\0\0", "type: 5"),
        (b"\1\1\0\0\0\0\0\0", "type: 1"),
        (b"\1\6\0\2\0\0\0\0", "id: 2"),
        (b"\1\6\1\1\0\0\0\0", "id: 257"),
        (b"\1\3\0\1\0\0\0\0", "end of request with 0"),
        (b"\1\3\0\1\xff\xff\0\0", "end of request with 65535"),
    ],
)
def test_what_is_no_record_of_ours_is_refused(data: bytes, why: str) -> None:
    reader = RecordReader()
    reader.feed(data)
    with pytest.raises(BadResponse, match=why):
        reader.next()


def test_why_a_request_was_not_taken() -> None:
    assert refusal(bytes(8)) == ""
    assert refusal(b"\0\0\0\0\2\0\0\0") == "FCGI_OVERLOADED"
    assert refusal(b"\0\0\0\0\x63\0\0\0") == "protocol status 99"


def test_what_is_written() -> None:
    assert begin(keep=True) == b"\1\1\0\1\0\x08\0\0" + b"\0\1\1\0\0\0\0\0"
    assert begin(keep=False) == b"\1\1\0\1\0\x08\0\0" + b"\0\1\0\0\0\0\0\0"
    assert record(PARAMS, b"abc") == b"\1\4\0\1\0\3\5\0abc" + bytes(5)
    assert CODING.end == b"\1\5\0\1\0\0\0\0"
    assert CODING.head(LARGEST) == b"\1\5\0\1\xff\xf8\0\0"
    assert name_value(b"a" * 127, b"b" * 128) == b"\x7f\x80\0\0\x80" + b"a" * 127 + b"b" * 128


@given(st.integers(0, 3), st.integers(-2, 2))
def test_long_content_is_cut_into_records(times: int, more: int) -> None:
    size = max(0, times * LARGEST + more)
    data = records(STDOUT, b"x" * size)
    assert len(data) % 8 == 0
    got, _ = read(data, [len(data) or 1])
    assert got.get(STDOUT, b"") == b"x" * size
