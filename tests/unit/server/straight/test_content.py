"""The heads that the straight way writes are those of the general transaction, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.site import Client, Site, listen_to
from penstock.http.head import RequestHead, parse_request
from penstock.http.request import Answer, Request
from penstock.http.response import parse_response
from penstock.http.seen_heads import SeenHeads
from penstock.http.uri import plain_target
from penstock.modules.proxy.proxy import Proxy
from penstock.plan.location import Location
from penstock.server.head import render_head
from penstock.server.straight.content import StraightProxy

LOCATIONS = [
    "proxy_pass http://127.0.0.1:1;",
    "proxy_pass http://127.0.0.1:1/other/;",
    "proxy_pass http://127.0.0.1:1; proxy_http_version 1.0; proxy_set_header Host $http_x_host;",
    "proxy_pass http://127.0.0.1:1; proxy_set_header Host $http_x_host; proxy_set_header X-A '{a}\"$arg_b';",
    "proxy_pass http://127.0.0.1:1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
    "proxy_pass http://127.0.0.1:1; proxy_set_header Connection ''; proxy_set_header Cookie '';",
    "proxy_pass http://127.0.0.1:1; proxy_pass_request_headers off; proxy_set_header X it's;",
    "proxy_pass http://127.0.0.1:1; websocket auto;",
    "proxy_pass http://127.0.0.1:1; proxy_set_header Connection $way; proxy_set_header Host $host;",
    "proxy_pass http://127.0.0.1:1; proxy_set_header X $http_te; proxy_set_header Y a$way$http_cookie;",
    "proxy_pass http://127.0.0.1:1; proxy_set_header X $http_sec_websocket_key; proxy_set_header Cookie '';",
    "proxy_pass http://127.0.0.1:1; proxy_set_header X $by_cookie; proxy_set_header Y $by_arg;",
]
MAPS = """
map $http_upgrade $way { default upgrade; '' close; }
map $http_cookie $by_cookie { default some; c=1 one; '' none; }
map $http_upgrade $by_arg { default $arg_b; '' none; }
"""
LINES = st.sampled_from(
    [
        "X-Host: b",
        "Cookie: a=b",
        "Cookie: c=%d",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Upgrade: h2c",
        "Te: x",
        "Sec-WebSocket-Key: %024d",
    ]
)
TARGETS = st.sampled_from(["/", "/a%20b", "/a?b=c&x", "/%C3%A9", "/a//b/../c", "/\xe9"])


def heads(target: str, lines: list[str], method: str = "GET") -> list[tuple[RequestHead, RequestHead]]:
    """A head as it is parsed the first time, and when its lines have come before; and each as it is by itself."""
    seen = SeenHeads()
    found = []
    for number in range(4):
        own = [line % number if "%" in line else line for line in lines]
        data = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", *own, "", ""]).encode("latin-1")
        found.append((parse_request(data, seen=seen), parse_request(data)))
    return found


def only_location(site: Site) -> Location:
    """The one location of the one server."""
    tree = site.plan.servers[0].locations
    assert tree is not None
    return tree.all[0]


def asked(site: Site, head: RequestHead) -> Request:
    """A request as it comes to the location."""
    client: Any = Client(site.listen, "127.0.0.1")
    request = Request(client, head, site.plan.servers[0])
    request.location = only_location(site)
    request.uri, request.args = plain_target(head.target)
    return request


@pytest.mark.parametrize("inside", LOCATIONS)
def test_what_a_backend_gets(inside: str, tmp_path: Path) -> None:
    site = Site(f"{MAPS} server {{ location / {{ {inside} }} }}", tmp_path)
    location = only_location(site)
    listen_to(site.plan.servers[0].root, site.log)
    proxy = location[Proxy]
    there = proxy.targets.fixed
    assert there is not None
    location.notes.add("upgrade lost")
    straight = StraightProxy(proxy, there)

    @settings(max_examples=60, deadline=None)
    @given(TARGETS, st.lists(LINES, max_size=4), st.sampled_from(["GET", "HEAD"]))
    def check(target: str, lines: list[str], method: str) -> None:
        for head, fresh in heads(target, lines, method):
            request = asked(site, head)
            alone = proxy.prepare(asked(site, fresh), there, None, chunked=False)
            general = proxy.prepare(request, there, None, chunked=False)
            written = straight.head(request)
            assert written == general.head == alone.head
            assert straight.prepared(request, written) == general

    check()


ANSWERS = [
    ["Content-Type: text/plain", "ETag: x", "Last-Modified: Thu, 01 Jan 1970 00:00:01 GMT", "X-A: b"],
    ["Set-Cookie: a", "Set-Cookie: b", "Accept-Ranges: bytes", "Server: other", "Connection: close"],
    ["Content-Type: a", "X-Content-Type: b", "Keep-Alive: 5", "X-Accel-Buffering: no"],
]


@pytest.mark.parametrize("lines", ANSWERS)
def test_what_a_client_gets(lines: list[str], tmp_path: Path) -> None:
    site = Site("server { location / { proxy_pass http://127.0.0.1:1; } }", tmp_path)
    location = only_location(site)
    proxy = location[Proxy]
    assert proxy.targets.fixed is not None
    straight = StraightProxy(proxy, proxy.targets.fixed)
    text = "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    head = parse_response(text.encode())
    request = asked(site, heads("/", [])[0][0])
    answer = Answer(200)
    answer.from_upstream, answer.reason = True, "Fine"
    proxy.answers.headers(proxy, request, answer, head)
    general = render_head(request, answer, chunked=False).decode("latin-1")
    made = straight.lines(head)
    assert made is not None
    first, before, after = made
    ours = "".join(line for line in general.splitlines(keepends=True) if line.startswith(("Server: ", "Date: ")))
    assert f"{first}{ours}{before}Connection: keep-alive\r\n{after}\r\n" == general


@pytest.mark.parametrize("line", ["X-Accel-Charset: utf-8", "Location: /x", "Refresh: 1; url=/x"])
def test_what_asks_for_more_is_left_to_the_general_transaction(line: str, tmp_path: Path) -> None:
    site = Site("server { location / { proxy_pass http://127.0.0.1:1; } }", tmp_path)
    proxy = only_location(site)[Proxy]
    assert proxy.targets.fixed is not None
    head = parse_response(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{line}\r\n\r\n".encode())
    assert StraightProxy(proxy, proxy.targets.fixed).lines(head) is None
