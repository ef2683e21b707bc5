"""A request on the straight way, and where it goes over to the general one."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.backends import RawBackend, read_head, reset
from harness.in_process import InProcess, ask
from harness.ports import free_port
from penstock.server.straight.passage import Passage

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /x?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SITE = "upstream back {{ server 127.0.0.1:{port}; }} server {{ location / {{ proxy_pass http://back; {more} }} }}"


def asked(port: int, folder: Path, more: str = "") -> tuple[bytes, InProcess]:
    """What a client gets, and the worker that has answered."""
    worker = InProcess(SITE.format(port=port, more=more), folder)
    return worker.talk(lambda sock: ask(sock, GET), straight=True), worker


def test_an_answer_that_comes_at_once_goes_straight(tmp_path: Path) -> None:
    with RawBackend([read_head, OK]) as backend:
        data, worker = asked(backend.port, tmp_path)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n") and data.endswith(b"\r\n\r\nok")
    (ended,) = worker.ended
    assert type(ended) is Passage
    assert (ended.uri, ended.args, ended.status, ended.completed, ended.body_bytes_sent) == ("/x", "y", 200, True, 2)


@pytest.mark.parametrize(
    "script",
    [
        [read_head, OK[:9], OK[9:]],
        [read_head, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
        [read_head, b"HTTP/1.1 200 OK\r\n\r\nok"],
    ],
    ids=["pieces", "chunks", "until it closes"],
)
def test_others_are_gone_on_with(tmp_path: Path, script: list[object]) -> None:
    with RawBackend(script) as backend:
        data, worker = asked(backend.port, tmp_path)
        assert len(backend.conversations) == 1, "nothing is asked twice"
    assert b" 200 OK\r\n" in data and b"ok" in data
    assert [request.status for request in worker.ended] == [200]


def test_an_answer_that_comes_again_has_the_date_of_its_own_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.25]
    monkeypatch.setattr("penstock.server.head.time", lambda: now[0])
    monkeypatch.setattr("penstock.server.straight.passage.time", lambda: now[0])
    kept = GET.replace(b"Connection: close\r\n", b"")

    def client(sock: socket.socket) -> list[bytes]:
        dates = []
        for now[0] in (1000.25, 1000.5, 1000.75, 1001.0, 1000.5, 1000.999, 1001.5):
            sock.sendall(kept)
            answer = b""
            while not answer.endswith(b"\r\n\r\nok"):
                answer += sock.recv(65536)
            dates.append(answer[answer.index(b"Date") :][23:31])
        return dates

    with RawBackend([read_head, OK]) as backend:
        worker = InProcess(SITE.format(port=backend.port, more=""), tmp_path)
        dates = worker.talk(client, straight=True)
    one, two = b"00:16:40", b"00:16:41"
    assert dates == [one, one, one, two, one, one, two]


@pytest.mark.parametrize("script", [[read_head], [read_head, reset], [read_head, b"nonsense\r\n\r\n" * 2]])
def test_a_failure_is_the_general_ones(tmp_path: Path, script: list[object]) -> None:
    with RawBackend(script) as backend:
        _, worker = asked(backend.port, tmp_path, "proxy_next_upstream off;")
    assert len(worker.ended) == 1
    attempts = worker.ended[0].attempts
    assert attempts is not None and len(attempts) == 1


def test_a_peer_that_is_not_there(tmp_path: Path) -> None:
    data, worker = asked(free_port(), tmp_path)
    assert b" 502 " in data
    assert any("connect() failed (111" in line for line in worker.said())


def test_who_is_refused_gets_the_page_of_the_configuration(tmp_path: Path) -> None:
    data, worker = asked(free_port(), tmp_path, "deny all;")
    assert b" 403 " in data
    assert [request.status for request in worker.ended] == [403]
