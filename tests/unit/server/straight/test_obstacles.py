"""What is said of locations, addresses and requests that do not go straight, and where it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.certs import Authority
from harness.site import Client, compiled
from penstock.http.head import parse_request
from penstock.http.request import Request
from penstock.plan.plan import Plan
from penstock.server.straight.obstacles import Obstacle, obstacles, of_address, of_answer, of_request

BEFORE = "comes before the location is known for good"
FOUND = [
    ("return 200;", "its answers are not proxy_pass's", ""),
    ("proxy_pass http://$host;", "proxy_pass has variables", "proxy_pass http://$host;"),
    ("proxy_pass https://127.0.0.1:1;", "proxy_pass is to https", "proxy_pass https://127.0.0.1:1;"),
    (
        "proxy_pass http://127.0.0.1:1; proxy_method POST;",
        "proxy_method gives them another method",
        "proxy_method POST;",
    ),
    ("proxy_pass http://127.0.0.1:1; proxy_set_body x;", "proxy_set_body gives requests a body", "proxy_set_body x;"),
    (
        "proxy_pass http://127.0.0.1:1; proxy_bind 127.0.0.2;",
        "proxy_bind chooses an address for each request",
        "proxy_bind 127.0.0.2;",
    ),
    (
        "proxy_pass http://127.0.0.1:1; proxy_allow_upstream 1;",
        "proxy_allow_upstream judges each server",
        "proxy_allow_upstream 1;",
    ),
    (
        "proxy_pass http://127.0.0.1:1; proxy_request_dynamic on;",
        "proxy_request_dynamic writes each server another request",
        "proxy_request_dynamic on;",
    ),
    ("proxy_pass http://127.0.0.1:1; proxy_cache $host;", "proxy_cache has variables", "proxy_cache $host;"),
    ("proxy_pass http://127.0.0.1:1; proxy_http_version 2;", "proxy_http_version is 2", "proxy_http_version 2;"),
    ("proxy_pass http://127.0.0.1:1; auth_request /x;", "auth_request may have to wait", "auth_request /x;"),
    ("proxy_pass http://127.0.0.1:1; mirror /x;", "mirror may have to wait", "mirror /x;"),
    (
        "proxy_pass http://127.0.0.1:1; satisfy any; deny all;",
        "satisfy any weighs several judges",
        "satisfy any;",
    ),
    (
        "proxy_pass http://127.0.0.1:1; limit_except GET { deny all; }",
        "limit_except gives some methods another location",
        "limit_except GET",
    ),
    ("proxy_pass http://127.0.0.1:1; slice 1m;", "its answers are put together from slices", "slice 1m;"),
    ("proxy_pass http://127.0.0.1:1; internal;", "it is internal", "location /"),
    ("rewrite ^/a /b; proxy_pass http://127.0.0.1:1;", f"rewrite {BEFORE}", "rewrite ^/a /b;"),
    ("proxy_pass http://127.0.0.1:1; set_real_ip_from ::1;", f"set_real_ip_from {BEFORE}", "set_real_ip_from ::1;"),
    ("fastcgi_pass 127.0.0.1:1;", "fastcgi_pass has no straight way, only proxy_pass has", "fastcgi_pass 127.0.0.1:1;"),
]
HTTP = """
    fleet redis://127.0.0.1:1;
    events { }
    http {
        proxy_cache_path %s/cache keys_zone=c:1m;
        limit_req_zone $host zone=z:1m rate=1r/s;
        limit_conn_zone $host zone=fleet:1m sync;
        %s
    }
"""


def made(inside: str, folder: Path) -> Plan:
    """The plan with that in its http section."""
    return compiled(HTTP % (folder, inside), folder)


def said(found: list[Obstacle]) -> dict[str, str]:
    """The words, and the directive that they lead to."""
    return {each.words: "" if each.span is None else each.span.text.partition(" {")[0] for each in found}


@pytest.mark.parametrize(("inside", "words", "written"), FOUND)
def test_locations_say_why_not(inside: str, words: str, written: str, tmp_path: Path) -> None:
    server = made(f"server {{ listen 127.0.0.1:8; location / {{ {inside} }} }}", tmp_path).servers[0]
    assert server.locations is not None
    found = said(obstacles(server, server.locations.all[0]))
    assert found[words] == written.rstrip(";")


@pytest.mark.parametrize(
    "how",
    [
        "",
        "burst=2 nodelay",
        "burst=2 delay=1",
        "burst=2; limit_req_dry_run on",
        "burst=2; limit_conn fleet 9",
        "burst=2; websocket_quota q tunnels=2",
    ],
)
def test_a_limit_is_none(how: str, tmp_path: Path) -> None:
    inside = f"websocket auto; proxy_pass http://127.0.0.1:1; limit_req zone=z {how};"
    text = f"websocket_quota_zone $host zone=q:1m sync; server {{ listen 127.0.0.1:8; location / {{ {inside} }} }}"
    server = made(text, tmp_path).servers[0]
    assert server.locations is not None
    assert not obstacles(server, server.locations.all[0])


def test_what_a_server_does_first_is_said_of_its_locations(tmp_path: Path) -> None:
    text = "server { listen 127.0.0.1:8; if ($host = a) { return 403; } location / { proxy_pass http://127.0.0.1:1; } }"
    server = made(text, tmp_path).servers[0]
    assert server.locations is not None
    assert said(obstacles(server, server.locations.all[0])) == {f"if {BEFORE}": "if ($host = a)"}


def test_locations_that_no_path_leads_to(tmp_path: Path) -> None:
    text = """server { listen 127.0.0.1:8;
        location @named { proxy_pass http://127.0.0.1:1; }
        location /a { if ($arg_a) { proxy_pass http://127.0.0.1:1; } } }"""
    server = made(text, tmp_path).servers[0]
    assert server.locations is not None
    assert [*said(obstacles(server, server.named["@named"]))] == [
        "it has a name: requests come here from another location"
    ]
    inner = server.locations.all[0].inner[0]
    assert "it is an if: requests come here from the location around it" in said(obstacles(server, inner))


def test_addresses(tmp_path: Path, authority: Authority) -> None:
    text = "server { listen 127.0.0.1:8 %s; location / { proxy_pass http://127.0.0.1:1; } }"
    (plain,) = made(text % "", tmp_path).listens
    assert not of_address(plain)
    (proxied,) = made(text % "proxy_protocol", tmp_path).listens
    assert [*said(of_address(proxied)).values()] == ["listen 127.0.0.1:8 proxy_protocol"]
    (second,) = made((text % "").replace("location", "http2 on; location", 1), tmp_path).listens
    assert [*said(of_address(second)).values()] == ["http2 on"]
    pair = authority.issue("a")
    secure = f"ssl; ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key}; http2 on"
    (third,) = made(text % secure, tmp_path).listens
    assert not of_address(third)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("GET / HTTP/1.1\r\nHost: a", []),
        ("HEAD / HTTP/1.1\r\nHost: a", []),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket", ["it is a HEAD that asks for another protocol"]),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1", ["the method is POST", "it has a body"]),
        ("GET / HTTP/1.0\r\nHost: a", ["it is no HTTP/1.1"]),
        ("GET / HTTP/1.1\r\nHost: bb", ["its server was found by a regular expression in server_name"]),
    ],
)
def test_requests(lines: str, words: list[str], tmp_path: Path) -> None:
    text = "server { listen 127.0.0.1:8; server_name a ~^b+$; location / { proxy_pass http://127.0.0.1:1; } }"
    plan = made(text, tmp_path)
    request = asked(plan, lines)
    assert [*said(of_request(request))] == words
    request.internal = True
    assert "it was sent on from another location" in said(of_request(request))


def test_event_streams_leave_the_straight_way_with_their_answer(tmp_path: Path) -> None:
    text = "server { listen 127.0.0.1:8; %s location / { proxy_pass http://127.0.0.1:1; } }"
    plan = made(text % "", tmp_path)
    assert not of_answer(asked(plan, "GET / HTTP/1.1\r\nHost: a"))
    (told,) = of_answer(asked(plan, "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream"))
    assert "event stream" in told.words and told.span is None
    (told,) = of_answer(asked(made(text % "event_stream on;", tmp_path), "GET / HTTP/1.1\r\nHost: a"))
    assert told.span is not None and told.span.text == "event_stream on"


def test_what_is_not_kept_leaves_the_straight_way(tmp_path: Path) -> None:
    text = "server { listen 127.0.0.1:8; location / { proxy_pass http://127.0.0.1:1; proxy_cache c; } }"
    plan = made(text, tmp_path)
    request = asked(plan, "GET / HTTP/1.1\r\nHost: a")
    assert plan.servers[0].locations is not None
    request.location = plan.servers[0].locations.all[0]
    (told,) = of_answer(request)
    assert told.span is not None and told.span.text == "proxy_cache c"


def asked(plan: Plan, lines: str) -> Request:
    """A request as it comes to the one server of a plan."""
    listen = plan.listens[0]
    client = Client(listen, "127.0.0.1")
    return Request(client, parse_request(f"{lines}\r\n\r\n".encode()), plan.servers[0])  # type: ignore[arg-type]
