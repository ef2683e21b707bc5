"""Answers on the wire of HTTP/1: how their end is told, in whatever shape the body comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.in_process import InProcess, ask

CONF = """
server {
    listen 127.0.0.1:8080;
    location / { }
    location /moved { return 301 /there; }
    location /far { return 301 http://elsewhere.example/; }
    location /none { return 204; }
    location /slow/ { alias %(folder)s/; limit_rate 60k; }
    location /changed/ { alias %(folder)s/; sub_filter_types *; sub_filter xx y; sub_filter_once off; }
}
"""
BIG = b"x" * 200_000


@pytest.fixture
def worker(tmp_path: Path) -> InProcess:
    (tmp_path / "big").write_bytes(BIG)
    return InProcess(CONF % {"folder": tmp_path}, tmp_path)


def answer(worker: InProcess, target: str, *lines: str, method: str = "GET", version: str = "1.1") -> tuple[str, bytes]:
    """The head and the body, as they are on the wire."""
    asked = "\r\n".join([f"{method} {target} HTTP/{version}", "Host: localhost", "Connection: close", *lines, "", ""])
    head, _, body = worker.talk(lambda sock: ask(sock, asked.encode())).partition(b"\r\n\r\n")
    return head.decode(), body


def test_a_file_has_a_length_and_is_counted(worker: InProcess) -> None:
    head, body = answer(worker, "/big")
    assert f"Content-Length: {len(BIG)}" in head
    assert body == BIG
    request = worker.ended[0]
    assert (request.body_bytes_sent, request.completed) == (len(BIG), True)
    assert request.bytes_sent == len(BIG) + len(head) + 4


def test_an_answer_to_head_is_a_head(worker: InProcess) -> None:
    head, body = answer(worker, "/big", method="HEAD")
    assert f"Content-Length: {len(BIG)}" in head
    assert body == b""


def test_204_has_neither_body_nor_length(worker: InProcess) -> None:
    head, body = answer(worker, "/none")
    assert body == b""
    assert "Content-Length" not in head
    assert "Content-Type" not in head


def test_a_length_that_is_not_known_is_told_by_chunks_or_by_the_end(worker: InProcess) -> None:
    head, body = answer(worker, "/changed/big")
    assert "Transfer-Encoding: chunked" in head
    assert body.endswith(b"\r\n0\r\n\r\n")
    head, body = answer(worker, "/changed/big", version="1.0")
    assert "Transfer-Encoding" not in head
    assert "Content-Length" not in head
    assert body == b"y" * 100_000


def test_http_09_gets_the_body_alone(worker: InProcess) -> None:
    assert worker.talk(lambda sock: ask(sock, b"GET /big\r\n")) == BIG


def test_limit_rate_slows_a_body_down(worker: InProcess) -> None:
    assert answer(worker, "/slow/big", "Range: bytes=0-99999")[1] == BIG[:100_000]
    request = worker.ended[0]
    assert request.finished - request.started > 0.2


def test_a_location_of_this_server_becomes_absolute(worker: InProcess) -> None:
    assert "Location: http://localhost" in answer(worker, "/moved")[0]
    assert "Location: http://elsewhere.example/" in answer(worker, "/far")[0]


def test_an_error_has_a_page_and_no_date_of_a_file(worker: InProcess) -> None:
    head, body = answer(worker, "/missing")
    assert head.startswith("HTTP/1.1 404 Not Found")
    assert "Last-Modified" not in head
    assert b"404 Not Found" in body
