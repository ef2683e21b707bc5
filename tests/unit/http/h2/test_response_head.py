"""The head of a backend's answer over HTTP/2: what HTTP/1.1 could read in another way is refused."""

from __future__ import annotations

import pytest

from penstock.http.errors import BadResponse
from penstock.http.fields import Headers
from penstock.http.h2.response_head import response_head, trailer_fields
from penstock.http.response import ResponseHead


def head(*pairs: tuple[bytes, bytes]) -> tuple[ResponseHead, Headers]:
    misplaced: Headers = []
    return response_head(pairs, ResponseHead, misplaced), misplaced


def test_a_head_is_as_everybody_knows_it() -> None:
    made, misplaced = head((b":status", b"200"), (b"content-length", b"5"), (b"x-a", b" 1 "), (b"x-a", b"2"))
    assert (made.status, made.content_length, made.headers) == (
        200,
        5,
        [("content-length", "5"), ("x-a", "1"), ("x-a", "2")],
    )
    assert misplaced == []


def test_what_has_no_place_in_http_2_is_left_out() -> None:
    made, misplaced = head((b":status", b"200"), (b"connection", b"close"), (b"transfer-encoding", b"chunked"))
    assert made.headers == []
    assert misplaced == [("connection", "close"), ("transfer-encoding", "chunked")]


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([], "no :status"),
        ([(b"x-a", b"1")], "no :status"),
        ([(b":status", b"200"), (b":status", b"200")], "duplicate"),
        ([(b"x-a", b"1"), (b":status", b"200")], "out of order"),
        ([(b":status", b"20")], "invalid :status"),
        ([(b":status", b"2000")], "invalid :status"),
        ([(b":status", b"+20")], "invalid :status"),
        ([(b":status", b"101")], "101"),
        ([(b":status", b"200"), (b":path", b"/")], "invalid header"),
        ([(b":status", b"200"), (b"X-A", b"1")], "invalid header"),
        ([(b":status", b"200"), (b"", b"1")], "invalid header"),
        ([(b":status", b"200"), (b"x a", b"1")], "invalid header"),
        ([(b":status", b"200"), (b"x-a", b"1\r\nset-cookie: b")], "invalid header"),
        ([(b":status", b"200"), (b"x-a", b"\0")], "invalid header"),
        ([(b":status", b"200"), (b"transfer-encoding", b"gzip")], "Transfer-Encoding"),
        ([(b":status", b"200"), (b"content-length", b"1"), (b"content-length", b"2")], "Content-Length"),
        ([(b":status", b"200"), (b"content-length", b"-1")], "Content-Length"),
    ],
)
def test_what_is_refused(pairs: list[tuple[bytes, bytes]], reason: str) -> None:
    with pytest.raises(BadResponse) as caught:
        head(*pairs)
    assert reason.lower() in caught.value.reason.lower()
    assert "\n" not in caught.value.reason


def test_trailers_bring_nothing_that_frames_the_answer() -> None:
    assert trailer_fields([(b"grpc-status", b"0"), (b"x-a", b" b ")]) == [("grpc-status", "0"), ("x-a", "b")]
    for name in (b"content-length", b"transfer-encoding", b"host", b"te", b":status", b"X-A", b"connection"):
        with pytest.raises(BadResponse):
            trailer_fields([(name, b"1")])
