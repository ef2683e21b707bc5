"""One request of HTTP/2: what is refused, and what its stream is reset with where it gets no answer."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.http2 import Http2Client
from harness.in_process import InProcess

CONF = """
client_body_timeout 300ms;
server {
    listen 127.0.0.1:8080;
    http2 on;
    location / { return 200 "ok"; }
    location /silent { return 444; }
    location /body { proxy_pass http://127.0.0.1:1; }
    error_page 400 /sorry;
    location = /sorry { return 200 "sorry"; }
}
server { listen 127.0.0.1:8080; server_name off.example; http2 off; location / { return 200 "off"; } }
"""
PROTOCOL_ERROR, INTERNAL_ERROR = 1, 2


@pytest.fixture
def worker(tmp_path: Path) -> InProcess:
    return InProcess(CONF, tmp_path)


def head(method: str = "GET", path: str = "/", authority: str = "localhost") -> list[tuple[str, str]]:
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority)]


def asked(worker: InProcess, fields: list[tuple[str, str]]) -> tuple[int, bytes]:
    def client(sock: socket.socket) -> tuple[int, bytes]:
        with Http2Client(sock) as spoken:
            answer = spoken.read(spoken.open_with(fields))
            return answer.status, bytes(answer.body)

    return worker.talk(client, http2=True)


def test_a_request_is_answered_and_finished(worker: InProcess) -> None:
    assert asked(worker, head()) == (200, b"ok")
    assert [(request.status, request.completed) for request in worker.ended] == [(200, True)]


REFUSED = {
    "a broken escape": (head(path="/%zz"), 400),
    "TRACE": (head("TRACE"), 405),
}


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED)
def test_what_no_phase_sees_is_refused_with_a_reason(
    worker: InProcess, fields: list[tuple[str, str]], status: int
) -> None:
    assert asked(worker, fields)[0] == status
    assert [request.status for request in worker.ended] == [status]
    assert worker.said()[0].startswith("client sent ")


def test_a_head_that_can_not_be_used_gets_its_error_page_too(worker: InProcess) -> None:
    assert asked(worker, [*head(), ("connection", "close")]) == (400, b"sorry")
    assert [request.status for request in worker.ended] == [400]


def test_a_name_without_http2_is_misdirected(worker: InProcess) -> None:
    assert asked(worker, head(authority="off.example"))[0] == 421
    assert len(worker.ended) == 1


def reset_code(worker: InProcess, fields: list[tuple[str, str]], *, ended: bool) -> int | None:
    def client(sock: socket.socket) -> int | None:
        with Http2Client(sock) as spoken:
            return spoken.read(spoken.open_with(fields, ended=ended)).reset

    return worker.talk(client, http2=True)


def test_444_is_a_reset(worker: InProcess) -> None:
    assert reset_code(worker, head(path="/silent"), ended=True) == INTERNAL_ERROR
    assert [request.status for request in worker.ended] == [444]


def test_a_body_that_stalls_is_a_408_and_a_reset(worker: InProcess) -> None:
    assert reset_code(worker, [*head("POST", "/body"), ("content-length", "9")], ended=False) == PROTOCOL_ERROR
    assert [request.status for request in worker.ended] == [408]
    assert "client timed out (110: Connection timed out) while reading client request body" in worker.said()


def test_a_client_that_goes_meanwhile_is_a_499(worker: InProcess) -> None:
    def client(sock: socket.socket) -> None:
        with Http2Client(sock) as spoken:
            spoken.open_with([*head("POST", "/body"), ("content-length", "9")], ended=False)
            spoken.until(lambda: bool(spoken.settings))

    worker.talk(client, http2=True)
    assert [request.status for request in worker.ended] == [499]
    assert any("client prematurely closed" in line for line in worker.said())
