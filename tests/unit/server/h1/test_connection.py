"""A connection of HTTP/1: which requests follow one another, and what a head that can not be used leads to."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.in_process import InProcess, ask, read

CONF = """
client_header_timeout 300ms;
server {
    listen 127.0.0.1:8080;
    location / { return 200 "ok"; }
    location /last { keepalive_timeout 0; return 200 "last"; }
    location /silent { return 444; }
}
"""
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def worker(tmp_path: Path) -> InProcess:
    return InProcess(CONF, tmp_path)


def statuses(worker: InProcess) -> list[int]:
    return [request.status for request in worker.ended]


def test_requests_in_one_piece_are_answered_in_order(worker: InProcess) -> None:
    data = worker.talk(lambda sock: ask(sock, HEAD + HEAD + LAST + HEAD))
    assert data.count(b"HTTP/1.1 200") == 3, "nothing after the last one"
    assert data.index(b"ok") < data.index(b"last")
    assert statuses(worker) == [200, 200, 200]
    assert not worker.service.connections


def test_a_head_in_single_bytes_is_the_same_head(worker: InProcess) -> None:
    def client(sock: socket.socket) -> bytes:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LAST:
            sock.sendall(bytes([byte]))
        return read(sock)

    assert worker.talk(client).endswith(b"last")
    assert worker.ended[0].request_length == len(LAST)


BAD = {
    "nonsense": (b"\x16\x03\x01\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "a path above the root": (b"GET /../x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "a broken escape": (b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "TRACE": (b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "too long a line": (b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\n\r\n", 414),
    "too long a field": (b"GET / HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n", 494),
}


@pytest.mark.parametrize(("head", "status"), BAD.values(), ids=BAD)
def test_a_bad_head_is_answered_once_and_ends_the_connection(worker: InProcess, head: bytes, status: int) -> None:
    data = worker.talk(lambda sock: ask(sock, head + HEAD))
    shown = 400 if status == 494 else status
    assert data.count(b"HTTP/1.1 ") == 1
    assert data.startswith(f"HTTP/1.1 {shown} ".encode())
    assert b"Connection: close\r\n" in data
    assert len(worker.ended) == 1


def test_half_a_head_is_a_408_in_the_log_without_an_answer(worker: InProcess) -> None:
    assert worker.talk(lambda sock: ask(sock, HEAD[:20])) == b""
    assert statuses(worker) == [408]
    assert worker.said() == ["client timed out (110: Connection timed out) while reading client request headers"]


def test_a_client_that_goes_within_a_head_is_logged(worker: InProcess) -> None:
    worker.talk(lambda sock: (sock.sendall(HEAD[:20]), sock.shutdown(socket.SHUT_WR)))
    assert statuses(worker) == [400]
    assert worker.said() == ["client prematurely closed connection while reading client request headers"]


def test_return_444_closes_without_a_word(worker: InProcess) -> None:
    assert worker.talk(lambda sock: ask(sock, HEAD.replace(b" / ", b" /silent "))) == b""
    assert statuses(worker) == [444]


def test_a_body_that_nobody_reads_is_not_the_next_request(worker: InProcess) -> None:
    post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(HEAD)
    data = worker.talk(lambda sock: ask(sock, post + HEAD + LAST))
    assert data.count(b"HTTP/1.1 200") == 2
    assert [request.uri for request in worker.ended] == ["/", "/last"]


def test_broken_chunks_that_nobody_reads_are_a_400(worker: InProcess) -> None:
    post = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    data = worker.talk(lambda sock: ask(sock, post))
    assert data.startswith(b"HTTP/1.1 400 ")
    assert data.count(b"HTTP/1.1 ") == 1


def test_an_expected_body_that_nobody_wants_ends_the_connection(worker: InProcess) -> None:
    post = b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    data = worker.talk(lambda sock: ask(sock, post))
    assert data.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close\r\n" in data


def test_a_draining_worker_answers_and_closes(worker: InProcess) -> None:
    worker.service.draining = True
    assert b"Connection: close\r\n" in worker.talk(lambda sock: ask(sock, HEAD))
