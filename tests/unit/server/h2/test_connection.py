"""A connection of HTTP/2: streams beside one another, an end that is announced, floods."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.http2 import Http2Client
from harness.in_process import InProcess

CONF = """
server {
    listen 127.0.0.1:8080;
    http2 on;
    http2_max_concurrent_streams 3;
    keepalive_requests 5;
    client_header_timeout 500ms;
    keepalive_timeout 500ms;
    location / { return 200 "$uri"; }
    location /body { proxy_pass http://127.0.0.1:1; }
}
"""


@pytest.fixture
def worker(tmp_path: Path) -> InProcess:
    return InProcess(CONF, tmp_path)


def test_requests_beside_one_another_are_answered(worker: InProcess) -> None:
    def client(sock: socket.socket) -> list[str]:
        with Http2Client(sock) as spoken:
            streams = [spoken.open(f"/{number}") for number in range(3)]
            return [spoken.read(stream).text for stream in streams]

    assert worker.talk(client, http2=True) == ["/0", "/1", "/2"]
    assert not worker.service.connections


def test_after_enough_requests_the_end_is_announced(worker: InProcess) -> None:
    def client(sock: socket.socket) -> tuple[list[int], bool]:
        with Http2Client(sock) as spoken:
            found = [spoken.get("/").status for _ in range(5)]
            spoken.until(lambda: spoken.eof)
            return found, spoken.goaway is not None

    assert worker.talk(client, http2=True) == ([200] * 5, True)


def test_a_connection_without_requests_is_ended(worker: InProcess) -> None:
    def client(sock: socket.socket) -> bool:
        with Http2Client(sock) as spoken:
            spoken.until(lambda: spoken.eof)
            return spoken.goaway is not None

    assert worker.talk(client, http2=True)
    assert worker.ended == []


def test_a_draining_worker_answers_what_is_here_and_takes_no_more(worker: InProcess) -> None:
    worker.service.draining = True

    def client(sock: socket.socket) -> bool:
        with Http2Client(sock) as spoken:
            spoken.until(lambda: spoken.eof)
            return spoken.goaway is not None

    assert worker.talk(client, http2=True)


def test_a_preface_that_is_none_ends_the_connection(worker: InProcess) -> None:
    def client(sock: socket.socket) -> bytes:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return sock.recv(65536)

    worker.talk(client, http2=True)
    assert any("while processing HTTP/2 connection" in line for line in worker.said())
