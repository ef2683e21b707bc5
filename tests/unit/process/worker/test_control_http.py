"""What of a first line is HTTP, and what an answer looks like."""

import json

import pytest

from penstock.process.worker.control_http import ControlAnswer, ControlRequest, parse_control, rendered


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"GET /1/nginx HTTP/1.1\r\n", ControlRequest("GET", "/1/nginx")),
        (b"PATCH /1/control/config/?x=1 HTTP/1.0\nHost: x\r\n", ControlRequest("PATCH", "/1/control/config")),
        (b"GET / HTTP/1.1\r\n", ControlRequest("GET", "/")),
        (b'{"do": "tunnels"}\n', None),
        (b"get /1 HTTP/1.1\r\n", None),
        (b"GET /1 HTTP/2\r\n", None),
        (b"GET /\xff HTTP/1.1\r\n", None),
        (b"GET /1 HTTP/1.1", None),
        (b"", None),
    ],
)
def test_first_lines(line, found) -> None:
    assert parse_control(line) == found


def test_an_answer_is_whole() -> None:
    head, _, body = rendered(ControlRequest("GET", "/1"), ControlAnswer(422, {"logs": ["é"]})).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 422 ")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"logs": ["é"]}
