"""A connection that waits without a fiber."""

from __future__ import annotations

import socket
from pathlib import Path

from harness.in_process import InProcess, ask
from harness.site import listen_to as listen_to
from penstock.net.stream import Stream
from penstock.server.straight.client import StraightConnection

SITE = "keepalive_timeout {patience}; client_header_timeout 1s; server {{ location / {{ return 200 ok; }} }}"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_what_is_not_straight_is_answered_all_the_same_and_waits_again(tmp_path: Path) -> None:
    worker = InProcess(SITE.format(patience="75s"), tmp_path)
    data = worker.talk(
        lambda sock: ask(sock, GET + GET + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), straight=True
    )
    assert data.count(b"200 OK") == 3
    assert len(worker.ended) == 3


def test_one_that_waits_has_no_fiber_and_ends_with_its_stream(tmp_path: Path) -> None:
    worker = InProcess(SITE.format(patience="75s"), tmp_path)
    near, far = socket.socketpair()
    far.setblocking(False)
    stream = Stream(far, worker.loop, ("127.0.0.1", 1))
    connection = StraightConnection(worker.service, 1, stream, ("127.0.0.1", 1), worker.site.listen)
    worker.service.connections.add(connection)
    connection.wait()
    assert connection.fiber is None and connection.idle
    stream.close()
    assert not worker.service.connections and connection.alarm is None
    near.close()


def test_one_that_says_nothing_ends_and_is_logged(tmp_path: Path) -> None:
    worker = InProcess(SITE.format(patience="75s"), tmp_path)
    assert worker.talk(lambda sock: ask(sock, b""), straight=True) == b""
    assert any("client timed out" in line and "while waiting for request" in line for line in worker.said())


def test_half_a_head_has_its_time(tmp_path: Path) -> None:
    worker = InProcess(SITE.format(patience="75s"), tmp_path)
    assert worker.talk(lambda sock: ask(sock, b"GET / HT"), straight=True) == b""
    assert [request.status for request in worker.ended] == [408]


def test_a_bad_head_is_refused_once(tmp_path: Path) -> None:
    worker = InProcess(SITE.format(patience="75s"), tmp_path)
    assert b" 400 " in worker.talk(lambda sock: ask(sock, b"GET / HTTP/1.1\r\n\r\n"), straight=True)
    assert [request.status for request in worker.ended] == [400]
