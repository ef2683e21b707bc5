"""A request of HTTP/2 on the straight way, and the head of its answer, which is the general one's."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.backends import RawBackend, read_head
from harness.http2 import Answered, Http2Client
from harness.in_process import InProcess
from harness.site import Site
from penstock.http.request import Answer
from penstock.http.response import ResponseHead, parse_response
from penstock.modules.proxy.proxy import Proxy
from penstock.server.h2.send import head_block
from penstock.server.h2.straight import StreamPassage, _signature, fields_of
from penstock.server.straight.content import StraightProxy
from unit.server.straight.test_content import ANSWERS, asked, heads, only_location

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok"
SITE = (
    "upstream back {{ server 127.0.0.1:{port}; }} "
    "server {{ listen 127.0.0.1:8080; http2 on; location / {{ proxy_pass http://back; {more} }} }}"
)


def got(port: int, folder: Path, more: str = "") -> tuple[Answered, InProcess]:
    """What a client gets, and the worker that has answered."""
    worker = InProcess(SITE.format(port=port, more=more), folder)

    def client(sock: socket.socket) -> Answered:
        with Http2Client(sock) as spoken:
            return spoken.get("/x?y")

    return worker.talk(client, http2=True, straight=True), worker


def test_an_answer_that_comes_at_once_goes_straight(tmp_path: Path) -> None:
    with RawBackend([read_head, OK]) as backend:
        answer, worker = got(backend.port, tmp_path)
    assert (answer.status, answer.text, answer.header("x-a")) == (200, "ok", "b")
    (ended,) = worker.ended
    assert type(ended) is StreamPassage
    assert (ended.uri, ended.args, ended.status, ended.completed, ended.body_bytes_sent) == ("/x", "y", 200, True, 11)


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
        answer, worker = got(backend.port, tmp_path)
        assert len(backend.conversations) == 1, "nothing is asked twice"
    assert (answer.status, answer.text) == (200, "ok")
    assert [type(request) for request in worker.ended] == [StreamPassage]


@pytest.mark.parametrize("more", ["limit_rate 1m;", "add_header X-A b;", "http2_chunk_size 1;"])
def test_what_more_than_a_head_is_asked_for(tmp_path: Path, more: str) -> None:
    with RawBackend([read_head, OK]) as backend:
        answer, worker = got(backend.port, tmp_path, more)
    assert (answer.status, answer.text, answer.header("x-a")) == (200, "ok", "b")
    assert worker.ended[0].completed


@pytest.mark.parametrize("lines", ANSWERS)
@pytest.mark.parametrize("shared", [False, True])
def test_a_head_is_the_general_ones(lines: list[str], shared: bool, tmp_path: Path) -> None:
    site = Site("server { location / { proxy_pass http://127.0.0.1:1; } }", tmp_path)
    proxy = only_location(site)[Proxy]
    assert proxy.targets.fixed is not None
    straight = StraightProxy(proxy, proxy.targets.fixed)
    head = said(lines)
    head.shared = shared
    request = asked(site, heads("/", [])[0][0])
    answer = Answer(200)
    answer.from_upstream, answer.length = True, 111111
    proxy.answers.headers(proxy, request, answer, head)
    for _ in range(2):
        found = fields_of(straight, head)
        assert found is not None
        first, others = found
        assert first + _signature("on") + others == head_block(request, answer)


def test_a_head_that_asks_for_more_is_none_of_these(tmp_path: Path) -> None:
    site = Site("server { location / { proxy_pass http://127.0.0.1:1; } }", tmp_path)
    proxy = only_location(site)[Proxy]
    assert proxy.targets.fixed is not None
    assert fields_of(StraightProxy(proxy, proxy.targets.fixed), said(["Location: /x"])) is None


def said(lines: list[str]) -> ResponseHead:
    """A backend's head."""
    text = "HTTP/1.1 200 Fine\r\nContent-Length: 111111\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    return parse_response(text.encode())
