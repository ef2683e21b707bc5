"""What is a whole answer, and what is left to who can wait and explain."""

from __future__ import annotations

import pytest

from penstock.http.head import RequestHead, parse_request
from penstock.http.response import parse_response
from penstock.server.straight.whole import whole_body

CHUNKED = "200 OK\r\nTransfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("head", "rest", "body"),
    [
        ("200 OK\r\nContent-Length: 2", b"ok", b"ok"),
        ("200 OK\r\nContent-Length: 2", b"o", None),
        ("200 OK\r\nContent-Length: 2", b"ok!", None),
        ("200 OK", b"ok", None),
        ("204 No Content\r\nContent-Length: 0", b"", None),
        ("404 Not Found\r\nContent-Length: 0", b"", None),
        ("200 OK\r\nContent-Length: 0\r\nX-Accel-Redirect: /x", b"", None),
        (CHUNKED, b"2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", b"ok!"),
        (CHUNKED, b"0\r\n\r\n", b""),
        (CHUNKED, b"2\r\nok\r\n0\r\n", None),
        (CHUNKED, b"", None),
        (CHUNKED, b"2\r\nok\r\n0\r\n\r\nmore", None),
        (CHUNKED, b"2\r\nok\r\n0\r\nX: y\r\n\r\n", None),
        (CHUNKED, b"nonsense\r\n", None),
    ],
)
def test_what_has_come(head: str, rest: bytes, body: bytes | None) -> None:
    assert whole_body(asked("GET"), parse_response(f"HTTP/1.1 {head}\r\n\r\n".encode()), rest) == body


@pytest.mark.parametrize("head", ["200 OK\r\nContent-Length: 2", CHUNKED, "200 OK"])
def test_the_answer_to_head_has_no_body(head: str) -> None:
    answer = parse_response(f"HTTP/1.1 {head}\r\n\r\n".encode())
    assert whole_body(asked("HEAD"), answer, b"") == b""
    assert whole_body(asked("HEAD"), answer, b"ok") is None


def asked(method: str) -> RequestHead:
    return parse_request(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
