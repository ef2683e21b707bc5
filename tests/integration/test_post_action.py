"""`post_action`, asked of nginx and of Penstock: what is told to a backend when a request has ended, once."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from harness.backends import RawBackend, read_head
from harness.backends.scripted import Conversation
from harness.binary import each_of_both
from harness.proxy import Proxy
from harness.waiting import eventually

CONF = """
    worker_processes 1;
    events { }
    http {
        log_format told '$request $status';
        access_log access.log told;
        server {
            listen 127.0.0.1:{port:front};
            root {dir}/www;
            location / { post_action /done; }
            location /none/ { return 200 "none"; }
            location /named/ { post_action @named; }
            location /texts/ { post_action /done; return 403; }
            location /passed/ { post_action /done; proxy_pass http://127.0.0.1:{port:back}; }
            location /asking/ { post_action "/done?a=b"; }
            location /nowhere/ { post_action done; }
            location /slow { post_action /done; limit_rate 20k; }
            location = /done {
                internal;
                proxy_pass http://127.0.0.1:{port:back}/told?$request_method,$status,$body_bytes_sent,$request_completion;
            }
            location ~ ^/done.a=b { proxy_pass http://127.0.0.1:{port:back}; }
            location @named { proxy_pass http://127.0.0.1:{port:back}; proxy_set_header Named $status; }
        }
    }
    """


@pytest.fixture(params=["penstock", "nginx"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, list[str]]]:
    """A proxy, and the request lines that its backend got."""
    told: list[str] = []

    def answer(talk: Conversation) -> None:
        line = talk.received.partition(b"\r\n")[0].decode()
        named = re.search(rb"\r\nNamed: (\d+)", talk.received)
        told.append(line + (f" {named[1].decode()}" if named else ""))
        talk.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

    with RawBackend([read_head, answer]) as back:
        proxy = Proxy(CONF, *each_of_both(request.param), ports={"back": back.port}, expect=[".*"])
        for name in ("page", "named/page", "asking/page", "nowhere/page"):
            proxy.write(f"www/{name}", b"a page")
        proxy.write("www/slow", b"x" * 2_000_000)
        with proxy:
            yield proxy, told


@pytest.mark.parametrize(
    ("method", "path", "lines"),
    [
        ("GET", "/page", ["GET /told?GET,200,6,OK"]),
        ("GET", "/missing", [r"GET /told?GET,404,\d+,OK"]),
        ("GET", "/texts/", [r"GET /told?GET,403,\d+,OK"]),
        ("GET", "/passed/x", ["GET /passed/x", "GET /told?GET,200,5,OK"]),
        ("GET", "/named/page", ["GET /named/page HTTP/1.. 200"]),
        ("GET", "/asking/page", ["GET /done%3Fa=b HTTP/1.."]),
        ("GET", "/none/", []),
    ],
)
def test_what_is_told(both: tuple[Proxy, list[str]], method: str, path: str, lines: list[str]) -> None:
    front, told = both
    answer = front.get(path, method=method)
    assert b"hello" not in answer.body or path == "/passed/x"
    eventually(lambda: len(told) >= len(lines))
    front.get("/none/")
    assert len(told) == len(lines)
    for line, pattern in zip(told, lines, strict=True):
        assert re.match(pattern.replace("?", r"\?", 1), line), told


def test_a_client_that_has_gone(both: tuple[Proxy, list[str]]) -> None:
    front, told = both
    with front.client() as client:
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv_until(b"\r\n\r\n")
    eventually(lambda: told, 20)
    assert re.match(r"GET /told\?GET,\d+,\d+, ", told[0]), told


def test_without_a_slash_it_names_a_location(both: tuple[Proxy, list[str]]) -> None:
    front, told = both
    front.get("/nowhere/page")
    eventually(lambda: 'could not find named location "done"' in front.error_log())
    assert told == []
