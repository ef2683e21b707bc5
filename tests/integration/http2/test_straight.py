"""Requests of HTTP/2 on the straight way and on the general one: they are one, and what is unusual goes over."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from h2.settings import SettingCodes

from harness.backends import Echoed, HttpEcho, hold, read_head
from harness.binary import penstock
from harness.http2 import Fields, Http2Client
from harness.proxy import Proxy

SITE = """
    http {
        log_format told '$request_method $uri?$args $status $body_bytes_sent $request_length $host '
            '$server_name "$http_user_agent" "$upstream_addr" $upstream_status $upstream_bytes_sent '
            '$upstream_bytes_received $upstream_response_length "$sent_http_x_added" '
            '$request_completion $connection_requests $kind $http2 $server_protocol "$http_cookie"';
        access_log access.log told;
        map $http_x_kind $kind { default plain; ~^s special; }
        limit_conn_zone $http_x_who zone=few:1m;
        proxy_cache_path {dir}/kept keys_zone=kept:1m;
        upstream one { server 127.0.0.1:{port:echo}; keepalive 4; }
        upstream several { least_conn; server 127.0.0.1:{port:echo}; server 127.0.0.1:{port:echo} backup; }
        upstream gone { server 127.0.0.1:{port:none}; server 127.0.0.1:{port:none} backup; }
        http2 on;
        server {
            listen 127.0.0.1:{port:front};
            server_name a.example;
            location / { proxy_pass http://one; proxy_set_header Connection ""; proxy_set_header X-Kind $kind; }
            location /several/ { proxy_pass http://several; add_header X-Added $kind always; }
            location /moved/ { proxy_pass http://one/else/; }
            location /none/ { proxy_pass http://gone; error_page 502 = /said; }
            location /said { return 200 gone; }
            location /denied/ { deny all; proxy_pass http://one; }
            location /allowed/ { allow 127.0.0.1; deny all; limit_conn few 10; proxy_pass http://one; }
            location ~ ^/pattern/(.*)$ { proxy_pass http://one; add_header X-Added $1; }
            location /signed/ { proxy_pass http://one; proxy_pass_header Date; proxy_pass_header Server; }
            location /paced/ { proxy_pass http://one; limit_rate 100k; }
            location /chunks/ { proxy_pass http://one; http2_chunk_size 1; }
            location /kept/ { proxy_pass http://one; proxy_cache kept; proxy_cache_valid 1h;
                              proxy_ignore_headers Set-Cookie; add_header X-Cache $upstream_cache_status; }
        }
        server { listen 127.0.0.1:{port:front}; server_name b.example; location / { return 204; } }
        server { listen 127.0.0.1:{port:front}; server_name ~^c(?<what>.*)$; location / { proxy_pass http://one; } }
    }
    """
PATHS = ("/", "/x?y=1", "/several/a", "/moved/%41%20b?q", "/none/x", "/denied/", "/allowed/x", "/pattern/z", "/said",
         "//double//x", "/a/../b", "/%zz", "/several/?", "/x#f", "/several", "/signed/x", "/paced/x",
         "/chunks/x", "/kept/x", "/kept/y")  # fmt: skip
METHODS = ("GET", "GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "BREW", "TRACE")
HOSTS = ("a.example", "a.example", "a.example", "b.example", "c.example", "else", "bad host")
FIELDS = (("user-agent", "t"), ("x-kind", "special"), ("x-who", "me"), ("accept", "*/*"), ("te", "trailers"),
          ("range", "bytes=0-1"), ("if-none-match", "*"), ("expect", "100-continue"), ("content-length", "0"),
          ("under_score", "1"), ("cookie", "a=b"), ("cookie", "c=d"), ("te", "gzip"), ("connection", "close"),
          ("upgrade", "websocket"), ("accept", "text/event-stream"), ("X-Capital", "1"))  # fmt: skip
CHANGES = re.compile(r"127\.0\.0\.1:\d+|(?<=\.example):\d+|(?<=//else):\d+")


def told(request: Echoed) -> bytes:
    """An answer that says what came, whichever connection it came on."""
    text = f"{request.line}\n{request.headers}\n{request.body!r}".encode()
    head = "Server: theirs\r\nDate: then\r\nX-Odd: a\xff b \r\nETag: W/x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
    length = f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
    return f"HTTP/1.1 200 OK\r\n{head}{length}".encode("latin-1") + (b"" if request.line[:4] == "HEAD" else text)


def random_request(chance: random.Random) -> tuple[Fields, bytes]:
    """One request's fields, and its body."""
    method = chance.choice(METHODS)
    fields = [(":method", method), (":scheme", "http"), (":path", chance.choice(PATHS))]
    fields += [(":authority", chance.choice(HOSTS)), *chance.sample(FIELDS, chance.randrange(5))]
    body = b"abc" if method == "POST" and not {("content-length", "0"), ("expect", "100-continue")} & {*fields} else b""
    return fields, body  # whether a 100 is sent depends on which comes first, its body or its turn


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Proxy, Proxy]]:
    """The same site, straight where that is possible, and never."""
    with ExitStack() as stack:
        echo = stack.enter_context(HttpEcho(respond=told))
        fronts = []
        for way in ("on", "off"):
            front = Proxy(
                SITE,
                penstock(),
                ports={"echo": echo.port},
                env={"PENSTOCK_STRAIGHT": way},
                expect=("no live upstreams",),
            )
            fronts.append(stack.enter_context(front))
        yield fronts[0], fronts[1]


def conversation(front: Proxy, requests: list[tuple[Fields, bytes]]) -> list[str]:
    """The answers to requests on one connection, one after the other."""
    found = []
    with Http2Client(front.port("front")) as client:
        for fields, body in requests:
            stream = client.open_with(fields, ended=not body)
            if body:
                client.send(stream, body, ended=True)
            answer = client.read(stream)
            head = "\n".join(f"{name}: {value}" for name, value in answer.headers if name != "date")
            found.append(CHANGES.sub("", f"{head}\n{answer.reset}\n{answer.interim}\n{answer.text}"))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_answer_and_log_alike(both: tuple[Proxy, Proxy], seed: int) -> None:
    chance = random.Random(seed)
    straight, general = both
    for _ in range(30):
        requests = [random_request(chance) for _ in range(chance.randrange(1, 4))]
        assert conversation(straight, requests) == conversation(general, requests), requests
    logs = []
    for front in both:
        with Http2Client(front.port("front")) as client:
            client.get(f"/last?{seed}", host="a.example")
        front.logged(rf"GET /last\?{seed} ")
        logs.append(sorted(CHANGES.sub("", line) for line in front.access_log().splitlines()))
    assert logs[0] == logs[1]


ONE = """
    http {
        http2 on;
        upstream back { server 127.0.0.1:{port:back}; keepalive 4; }
        upstream silent { server 127.0.0.1:{port:silent}; }
        log_format told 'at $uri $status $body_bytes_sent $request_completion';
        access_log access.log told;
        server {
            listen 127.0.0.1:{port:front};
            location / { proxy_pass http://back; proxy_set_header Connection ""; }
            location /held { proxy_pass http://silent; }
            location /late { proxy_pass http://silent; proxy_read_timeout 300ms; }
            location /later { proxy_pass http://silent; proxy_read_timeout 900ms; }
        }
    }
    """


@pytest.fixture
def front(proxy, raw_backend) -> Proxy:
    backend, silent = HttpEcho(), raw_backend([read_head, hold])
    with backend:
        yield proxy(ONE, ports={"back": backend.port, "silent": silent.port})


def test_who_is_silent_is_given_up_each_in_its_time(front: Proxy) -> None:
    with Http2Client(front.port()) as client:
        held, later, late = (client.open(path) for path in ("/held", "/later", "/late"))
        assert client.read(late).status == 504
        assert not client.streams[later].over
        assert client.read(later).status == 504
        assert client.get("/x").status == 200
        assert not client.streams[held].over
    assert front.error_log().count("upstream timed out (110: Connection timed out) while reading response header") == 2
    front.logged("at /held 499 ")


def test_a_stream_that_is_reset_is_logged_with_499(front: Proxy) -> None:
    with Http2Client(front.port()) as client:
        stream = client.open("/held/left")
        client.get("/x")
        client.reset(stream)
        front.logged("at /held/left 499 ")
        assert client.get("/y").status == 200, "the connection goes on"


def test_an_answer_waits_for_the_clients_window(front: Proxy) -> None:
    with Http2Client(front.port(), greedy=False, settings={SettingCodes.INITIAL_WINDOW_SIZE: 3}) as client:
        stream = client.open("/waits")
        client.until(lambda: len(client.streams[stream].body) == 3)
        client.h2.increment_flow_control_window(100_000, stream)
        client.flush()
        answer = client.read(stream)
        assert answer.status == 200 and len(answer.body) == int(answer.header("content-length") or 0) > 3
    front.logged("at /waits 200 [0-9]+ OK")


def test_requests_of_one_moment_are_answered_each(front: Proxy) -> None:
    with Http2Client(front.port()) as client:
        streams = {f"/n{number}": client.open(f"/n{number}") for number in range(60)}
        for path, stream in streams.items():
            answer = client.read(stream)
            assert answer.status == 200 and f"GET {path} " in answer.text


def test_a_reload_lets_them_come_to_their_end(front: Proxy) -> None:
    with Http2Client(front.port()) as client:
        stream = client.open("/later")
        client.get("/x")
        front.reload()
        assert client.read(stream).status == 504
        assert client.until(lambda: client.goaway is not None)
