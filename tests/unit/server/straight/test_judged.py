"""Judges that answer later: the passage waits, and goes on once, whatever comes first."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.backends import RawBackend, read_head
from harness.in_process import InProcess, ask
from penstock.http.request import Outcome, Request, special
from penstock.modules.access.limit_conn import LimitConn
from penstock.plan.later import Later
from penstock.server.straight.passage import Passage

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
KEPT = GET.replace(b"Connection: close\r\n", b"")
HTTP = """
    limit_req_zone $uri zone=slow:1m rate=4r/s;
    limit_conn_zone $uri zone=few:1m;
    server {{ location / {{ limit_conn few 9; {more} proxy_pass http://127.0.0.1:{port}; }} }}
"""


class Slow(Later[Outcome]):
    """What the test lets a judge say."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True
        super().drop()


@pytest.fixture
def backend() -> Iterator[RawBackend]:
    with RawBackend([read_head, OK]) as it:
        yield it


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch, backend: RawBackend, tmp_path: Path) -> tuple[InProcess, list[Slow]]:
    """A worker whose `limit_conn` is a judge that answers when the test says so."""
    asked: list[Slow] = []

    def decide(self: LimitConn, request: Request) -> Outcome | Later[Outcome]:
        asked.append(Slow())
        return asked[-1]

    decide.later = True  # type: ignore[attr-defined]
    monkeypatch.setattr(LimitConn, "decide", decide)
    return InProcess(HTTP.format(port=backend.port, more=""), tmp_path), asked


def soon(worker: InProcess, asked: list[Slow], action: object) -> None:
    """Call that once the judge has been asked."""

    def look() -> None:
        if asked and asked[-1].told is not None:
            action()  # type: ignore[operator]
        else:
            worker.loop.call_later(0.01, look)

    worker.loop.call_later(0.01, look)


def test_what_waits_goes_straight_on(judged: tuple[InProcess, list[Slow]], backend: RawBackend) -> None:
    worker, asked = judged
    soon(worker, asked, lambda: asked[0].say(None))
    assert worker.talk(lambda sock: ask(sock, GET), straight=True).endswith(b"ok")
    (ended,) = worker.ended
    assert type(ended) is Passage and ended.status == 200
    assert len(asked) == len(backend.conversations) == 1
    assert asked[0].told is None and not asked[0].dropped


def test_it_may_be_refused(judged: tuple[InProcess, list[Slow]], backend: RawBackend) -> None:
    worker, asked = judged
    soon(worker, asked, lambda: asked[0].say(special(503)))
    assert b" 503 " in worker.talk(lambda sock: ask(sock, GET), straight=True)
    assert [request.status for request in worker.ended] == [503]
    assert not backend.conversations


@pytest.mark.parametrize("straight", [True, False])
def test_a_client_that_goes_is_waited_for_no_more(judged: tuple[InProcess, list[Slow]], straight: bool) -> None:
    worker, asked = judged

    asked_by_now = threading.Event()

    def go(sock: socket.socket) -> None:
        sock.sendall(GET)
        asked_by_now.wait(10)

    soon(worker, asked, asked_by_now.set)
    worker.talk(go, straight=straight)
    assert [request.status for request in worker.ended] == [499]
    assert asked[0].dropped and asked[0].told is None
    assert len([line for line in worker.said() if "client prematurely closed connection" in line]) == 1


def test_its_connection_may_be_closed_under_it(judged: tuple[InProcess, list[Slow]]) -> None:
    worker, asked = judged

    def end() -> None:
        (connection,) = worker.service.connections
        connection.stream.close()
        connection.abandon()

    soon(worker, asked, end)
    assert worker.talk(lambda sock: ask(sock, GET), straight=True) == b""
    assert len(worker.ended) == 1 and asked[0].dropped
    assert not worker.said()


def test_what_comes_meanwhile_is_the_next_request(judged: tuple[InProcess, list[Slow]]) -> None:
    worker, asked = judged
    said = [special(404), special(403)]

    def answer() -> None:
        asked[-1].say(said.pop(0))
        if said:
            soon(worker, asked, answer)

    soon(worker, asked, answer)

    def pipeline(sock: socket.socket) -> bytes:
        sock.sendall(KEPT)
        return ask(sock, GET)

    data = worker.talk(pipeline, straight=True)
    assert data.index(b" 404 ") < data.index(b" 403 ")


def test_a_delay_is_waited_for_on_either_way(backend: RawBackend, tmp_path: Path) -> None:
    worker = InProcess(HTTP.format(port=backend.port, more="limit_req zone=slow burst=5;"), tmp_path)
    for straight in (True, True, False):
        assert worker.talk(lambda sock: ask(sock, GET), straight=straight).endswith(b"ok")
    assert [type(request) is Passage for request in worker.ended] == [True, True, False]
    lengths = [request.finished - request.started for request in worker.ended]
    assert min(lengths[1:]) > 0.1
    assert len([line for line in worker.said() if "delaying request, excess" in line]) == 2
