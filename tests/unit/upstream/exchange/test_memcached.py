"""The words of memcached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.errors import BadResponse
from penstock.upstream.exchange.memcached import TRAILER, ValueFraming, escape_key, parse_line


def test_a_key_holds_nothing_that_ends_it() -> None:
    assert escape_key("/a b%\r\n\x7f\xe4") == "/a%20b%25%0D%0A%7F\xe4"


@given(st.binary(max_size=60))
def test_any_line_is_an_answer_or_refused(line: bytes) -> None:
    try:
        head = parse_line(line, b"k", 1)
    except BadResponse:
        return
    assert head.status in (200, 404)


def test_flags_say_whether_a_value_is_compressed() -> None:
    assert parse_line(b"VALUE k 5 12", b"k", 4).headers == [("Content-Encoding", "gzip")]
    assert parse_line(b"VALUE k 5 12", b"k", 2).headers == []
    assert parse_line(b"VALUE k 5 12", b"k", 0).content_length == 12


@pytest.mark.parametrize("step", [1, 3, 100])
@pytest.mark.parametrize("value", [b"", b"abc", b"abc\r\nEND\r\nd"])
def test_a_value_ends_with_its_trailer(step: int, value: bytes) -> None:
    head = parse_line(b"VALUE k 0 %d" % len(value), b"k", 0)
    framing = ValueFraming(head, "GET")
    data = value + TRAILER
    got = b""
    for at in range(0, len(data), step):
        assert not framing.done
        got += framing.feed(data[at : at + step])
    assert got == value and framing.done and head.keep_alive and not framing.surplus


@pytest.mark.parametrize("after", [b"\r\nEND\r\nx", b"\r\nEND\rx", b"x"])
def test_another_trailer_spoils_the_connection(after: bytes) -> None:
    head = parse_line(b"VALUE k 0 1", b"k", 0)
    framing = ValueFraming(head, "GET")
    assert framing.feed(b"v" + after) == b"v"
    assert framing.done and framing.surplus and not head.keep_alive


def test_a_value_that_is_cut_off_is_not_whole() -> None:
    framing = ValueFraming(parse_line(b"VALUE k 0 3", b"k", 0), "GET")
    framing.feed(b"ab")
    assert not framing.may_end()
