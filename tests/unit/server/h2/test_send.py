"""Answers on a stream of HTTP/2: fields, DATA as windows allow, and what is counted of them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.http2 import Answered, Http2Client
from harness.in_process import InProcess

CONF = """
server {
    listen 127.0.0.1:8080;
    http2 on;
    location / { }
    location /none { return 204; }
    location /moved { return 301 /there; }
    location /hop { add_header Keep-Alive x; add_header X-Kept Y; return 200 "ok"; }
    location /changed/ { alias %(folder)s/; sub_filter_types *; sub_filter xx y; sub_filter_once off; }
}
"""
BIG = b"x" * 200_000


@pytest.fixture
def worker(tmp_path: Path) -> InProcess:
    (tmp_path / "big").write_bytes(BIG)
    return InProcess(CONF % {"folder": tmp_path}, tmp_path)


def answer(worker: InProcess, path: str, method: str = "GET") -> Answered:
    def client(sock: socket.socket) -> Answered:
        with Http2Client(sock) as spoken:
            fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")]
            return spoken.read(spoken.open_with(fields))

    return worker.talk(client, http2=True)


def test_a_file_larger_than_a_window_comes_whole(worker: InProcess) -> None:
    got = answer(worker, "/big")
    assert bytes(got.body) == BIG
    assert got.header("content-length") == str(len(BIG))
    request = worker.ended[0]
    assert request.completed
    assert request.body_bytes_sent >= len(BIG)


def test_a_length_that_is_not_known_is_told_by_the_end(worker: InProcess) -> None:
    got = answer(worker, "/changed/big")
    assert bytes(got.body) == b"y" * 100_000
    assert got.header("content-length") is None
    assert got.ended


@pytest.mark.parametrize(("path", "method"), [("/big", "HEAD"), ("/none", "GET")])
def test_an_answer_without_a_body_ends_with_its_head(worker: InProcess, path: str, method: str) -> None:
    got = answer(worker, path, method)
    assert got.ended
    assert not got.body


def test_names_are_lower_case_and_nothing_is_hop_by_hop(worker: InProcess) -> None:
    names = [name for name, _ in answer(worker, "/hop").headers]
    assert "x-kept" in names
    assert "keep-alive" not in names
    assert names == [name.lower() for name in names]


def test_a_location_of_this_server_becomes_absolute(worker: InProcess) -> None:
    assert (answer(worker, "/moved").header("location") or "").startswith("http://localhost")
