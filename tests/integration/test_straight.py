"""The straight way and the general transaction are one: random requests through both, and what is unusual."""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.backends import Conversation, Echoed, HttpEcho, WebSocketEcho, hold, read_head, reset
from harness.backends.fickle import FickleBackend
from harness.binary import penstock
from harness.certs import Authority
from harness.proxy import Proxy
from harness.raw import RawClient
from harness.waiting import eventually

SITE = """
    http {
        log_format told '$request_method $uri?$args $status $body_bytes_sent $bytes_sent $request_length $host '
            '$server_name "$http_user_agent" "$upstream_addr" $upstream_status $upstream_bytes_sent '
            '$upstream_bytes_received $upstream_response_length "$sent_http_x_added" '
            '$request_completion $connection_requests $kind';
        access_log access.log told;
        map $http_x_kind $kind { default plain; ~^s special; }
        map $http_upgrade $connection_upgrade { default upgrade; '' close; }
        limit_conn_zone $http_x_who zone=few:1m;
        limit_req_zone $http_x_who zone=slow:1m rate=1r/m;
        ssl_certificate {value:certificate};
        ssl_certificate_key {value:key};
        upstream one { server 127.0.0.1:{port:echo}; keepalive 4; }
        upstream several { least_conn; server 127.0.0.1:{port:echo}; server 127.0.0.1:{port:echo} backup; }
        upstream gone { server 127.0.0.1:{port:none}; server 127.0.0.1:{port:none} backup; }
        upstream chat { server 127.0.0.1:{port:chat}; }
        server {
            listen 127.0.0.1:{port:front};
            listen 127.0.0.1:{port:secure} ssl;
            server_name a.example;
            location / { proxy_pass http://one; proxy_set_header Connection ""; proxy_set_header X-Kind $kind; }
            location /several/ { proxy_pass http://several; add_header X-Added $kind always; }
            location /rated/ { limit_req zone=slow burst=3 nodelay; proxy_pass http://one; }
            location /moved/ { proxy_pass http://one/else/; }
            location /none/ { proxy_pass http://gone; error_page 502 = /said; }
            location /said { return 200 gone; }
            location /denied/ { deny all; proxy_pass http://one; }
            location /allowed/ { allow 127.0.0.1; deny all; limit_conn few 10; proxy_pass http://one; }
            location ~ ^/pattern/(.*)$ { proxy_pass http://one; add_header X-Added $1; }
            location /chat { proxy_pass http://chat; proxy_set_header Upgrade $http_upgrade;
                             proxy_set_header Connection $connection_upgrade; }
            location /auto { websocket auto; proxy_pass http://chat; }
        }
        server {
            listen 127.0.0.1:{port:front};
            listen 127.0.0.1:{port:secure} ssl;
            server_name b.example;
            location / { return 204; }
        }
    }
    """
PATHS = ("/", "/x?y=1", "/several/a", "/moved/%41%20b?q", "/none/x", "/denied/", "/allowed/x", "/pattern/z", "/said",
         "//double//x", "/a/../b", "/%zz", "/chat", "/auto", "/several/?", "/x#f", "/chunks", "/several/chunks",
         "/allowed/empty", "/rated/x", "/trailers")  # fmt: skip
METHODS = ("GET", "GET", "GET", "GET", "HEAD", "HEAD", "POST", "OPTIONS", "BREW")
LINES = ("User-Agent: t", "X-Kind: special", "X-Who: me", "Connection: close", "Connection: keep-alive", "Accept: */*",
         "X-Kind: s", "Range: bytes=0-1", "If-None-Match: *", "Upgrade: websocket", "Connection: Upgrade",
         "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Expect: 100-continue",
         "Content-Length: 0", "Under_score: 1", "Cookie: a=b; c=d", "Te: gzip")  # fmt: skip
CHUNKS = {"chunks": b"6\r\nchunks\r\n3\r\n...\r\n0\r\n\r\n", "empty": b"0\r\n\r\n",
          "trailers": b"1\r\nx\r\n0\r\nX-Late: y\r\n\r\n"}  # fmt: skip
CHANGES = re.compile(rb"Date: [^\r]+|127\.0\.0\.1:\d+")
MASKED = b"\x81\x85\0\0\0\0hello"
PORTS = re.compile(r":\d+")


def random_request(chance: random.Random) -> bytes:
    """One request, with its end where it has a body."""
    method, path = chance.choice(METHODS), chance.choice(PATHS)
    lines = [f"Host: {chance.choice(('a.example', 'a.example', 'b.example', 'else'))}"]
    lines += chance.sample(LINES, chance.randrange(5))
    version = "1.0" if chance.random() < 0.1 else "1.1"
    text = f"{method} {path} HTTP/{version}\r\n" + "".join(f"{line}\r\n" for line in lines)
    if method == "POST" and "Content-Length: 0" not in lines:
        return f"{text}Content-Length: 3\r\n\r\nabc".encode()
    return f"{text}\r\n".encode()


class ChunkedEcho(HttpEcho):
    """One whose answers to some paths come in chunks, all at once."""

    def _describe(self, request: Echoed) -> bytes:
        method, path, _ = request.line.split(" ")
        chunks = CHUNKS.get(path.rpartition("/")[2])
        if chunks is None or request.line.endswith("1.0"):
            return super()._describe(request)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head if method == "HEAD" else head + chunks


@pytest.fixture(scope="module")
def both(authority: Authority) -> Iterator[tuple[Proxy, Proxy]]:
    """The same site, straight where that is possible, and never."""
    pair = authority.issue("a.example")
    values = {"certificate": pair.certificate, "key": pair.key}
    with ExitStack() as stack:
        echo, chat = stack.enter_context(ChunkedEcho()), stack.enter_context(WebSocketEcho())
        fronts = []
        for way in ("on", "off"):
            ports = {"echo": echo.port, "chat": chat.port}
            expect = ("no live upstreams", "limiting requests")
            env = {"PENSTOCK_STRAIGHT": way}
            front = Proxy(SITE, penstock(), ports=ports, values=values, env=env, expect=expect)
            fronts.append(stack.enter_context(front))
        yield fronts[0], fronts[1]


def conversation(front: Proxy, requests: list[bytes], tls: ssl.SSLContext | None) -> list[bytes]:
    """The answers to requests on one connection, one after the other, until it ends."""
    found = []
    with RawClient(front.port("secure" if tls else "front"), tls=tls, name="a.example") as client:
        for request in requests:
            client.send(request)
            try:
                method = request.split(b" ", 1)[0].decode()
                answer = client.response(method)
                while answer.status == 100:  # who left now would race with the answer: 499, or what it is
                    answer = client.response(method)
            except (AssertionError, ConnectionError):
                found.append(b"ended")
                break
            head = "\n".join([str(answer.status), *(f"{name}: {value}" for name, value in answer.headers)])
            found.append(CHANGES.sub(b"", head.encode() + b"\n\n" + answer.body))
            if answer.status == 101 and tls:
                client.send(MASKED)
                found.append(client.recv_exactly(7))
            if answer.status == 101 or (answer.header("connection") or "").lower() == "close":
                break
    return found


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("seed", range(4))
def test_both_ways_answer_and_log_alike(
    both: tuple[Proxy, Proxy], authority: Authority, seed: int, tls: bool
) -> None:
    chance = random.Random(f"{seed}{tls}")
    straight, general = both
    context = authority.client_context() if tls else None
    for _ in range(30):
        requests = [random_request(chance) for _ in range(chance.randrange(1, 4))]
        assert conversation(straight, requests, context) == conversation(general, requests, context), requests
    last = f"GET /last?{seed}{tls} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
    logs = []
    for front in both:
        with front.client("front") as client:
            client.send(last).recv_all()
        front.logged(rf"GET /last\?{seed}{tls} ")
        logs.append(sorted(PORTS.sub(":", line) for line in front.access_log().splitlines()))
    assert logs[0] == logs[1]


KEPT = """
    http {
        log_format told '$request_method $uri?$args $status $body_bytes_sent $bytes_sent $upstream_cache_status '
            '$upstream_status "$upstream_http_x_b" "$sent_http_content_type" $upstream_cache_key';
        log_format quiet '$request_method $uri?$args $status $body_bytes_sent $bytes_sent $upstream_http_x_b';
        access_log access.log told;
        proxy_cache_path {dir}/kept levels=1:2 keys_zone=one:1m;
        proxy_cache one;
        proxy_cache_valid any 1h;
        server {
            listen 127.0.0.1:{port:front};
            proxy_cache_bypass $http_x_new;
            proxy_no_cache $http_x_none;
            location / { proxy_pass http://127.0.0.1:{port:back}; }
            location /quiet/ { access_log access.log quiet; proxy_pass http://127.0.0.1:{port:back}; }
            location /told/ { add_header X-Cache $upstream_cache_status always;
                              proxy_pass http://127.0.0.1:{port:back}; }
            location /else/ { proxy_cache_key $uri$http_x_a; proxy_hide_header ETag; proxy_cache_min_uses 2;
                              max_ranges 1; expires epoch; proxy_force_ranges on;
                              proxy_pass http://127.0.0.1:{port:back}/; }
            location /only/ { proxy_cache_purge $http_x_new; proxy_cookie_path / /x; limit_rate 500m;
                              proxy_ignore_headers Set-Cookie Vary; proxy_pass http://127.0.0.1:{port:back}; }
        }
    }
    """
KEPT_PATHS = ("/", "/quiet/a", "/told/a", "/else/a", "/only/a", "//quiet/%61")
KEPT_QUERIES = ("", "etag=%22x%22&x-b=c", "accept-ranges=bytes&last-modified=Mon,+01+Jan+2024+00:00:00+GMT",
                "vary=x-a", "size=100000&accept-ranges=bytes", "chunked=1", "status=301&location=/z", "status=404",
                "set-cookie=a=b", "content-type=text/html;+charset=utf-8", "cache-control=no-store", "size=20000",
                "x-accel-charset=utf-8&content-type=text/html", "x-accel-limit-rate=900000000", "vary=*",
                "te=x&connection=te")  # fmt: skip
KEPT_LINES = ("X-A: 1", "X-A: 2", "Connection: close", "Range: bytes=1-2", "Range: bytes=0-0,3-5", "Upgrade: h2c",
              'If-None-Match: "x"', "If-None-Match: *", 'If-Match: "y"', 'If-Range: "x"', "X-New: 1", "X-None: 1",
              "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT", "Content-Length: 0",
              "Range: bytes=999999-")  # fmt: skip
BOUNDARY = re.compile(r"\b\d{20}\b")


def without_boundaries(data: bytes) -> str:
    return BOUNDARY.sub("", data.decode("latin-1"))


def random_kept(chance: random.Random) -> bytes:
    method = chance.choice(("GET", "GET", "GET", "GET", "HEAD"))
    lines = "".join(f"{line}\r\n" for line in chance.sample(KEPT_LINES, chance.choice((0, 0, 0, 1, 1, 2))))
    target = f"{chance.choice(KEPT_PATHS)}?{chance.choice(KEPT_QUERIES)}"
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


@pytest.mark.parametrize("seed", range(2))
def test_what_is_kept_is_given_and_logged_alike(seed: int) -> None:
    chance = random.Random(seed)
    with ExitStack() as stack:
        fronts, backends = [], []
        for way in ("on", "off"):
            backends.append(stack.enter_context(FickleBackend()))
            front = Proxy(KEPT, penstock(), ports={"back": backends[-1].port}, env={"PENSTOCK_STRAIGHT": way})
            fronts.append(stack.enter_context(front))
        for _ in range(40):
            requests = [random_kept(chance) for _ in range(chance.randrange(1, 6))]
            found = [[without_boundaries(each) for each in conversation(front, requests, None)] for front in fronts]
            assert found[0] == found[1], requests
        assert backends[0].count == backends[1].count
        logs = []
        for front in fronts:
            front.get("/told/last?", {"Connection": "close"})
            front.logged(r"GET /told/last\?")
            logs.append(sorted(PORTS.sub(":", BOUNDARY.sub("", line)) for line in front.access_log().splitlines()))
        assert logs[0] == logs[1]
        assert any(" HIT " in line for line in logs[0])


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
ONE = """
    http {
        upstream back { server 127.0.0.1:{port:back}; }
        server {
            listen 127.0.0.1:{port:front};
            location / { proxy_pass http://back; proxy_read_timeout 1s; }
        }
    }
    """


@pytest.mark.parametrize(
    "pieces",
    [
        [OK[:10], OK[10:]],
        [OK[:-1], OK[-1:]],
        [b"HTTP/1.1 100 Continue\r\n\r\n", OK],
        [b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK],
        [CHUNKED],
        [CHUNKED[:-7], CHUNKED[-7:]],
        [CHUNKED[:-2], CHUNKED[-2:]],
    ],
    ids=["half a head", "half a body", "continue", "hints", "chunks", "half a chunk", "half an end"],
)
def test_an_answer_that_comes_in_another_way_is_gone_on_with(proxy, raw_backend, pieces: list[bytes]) -> None:
    backend = raw_backend([read_head, *pieces])
    front = proxy(ONE, ports={"back": backend.port})
    with front.client() as client:
        for _ in range(2):
            answer = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()
            assert (answer.status, answer.body) == (200, b"ok")
    heads = [conversation.received for conversation in backend.conversations]
    assert b"".join(heads).count(b"GET / HTTP/1.1") == 2, "nothing is asked twice"


def test_who_is_silent_is_given_up_once(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, hold])
    front = proxy(ONE, ports={"back": backend.port})
    with front.client() as client:
        assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status == 504
    assert front.error_log().count("upstream timed out (110: Connection timed out) while reading response header") == 1


def test_a_client_that_goes_is_logged_with_499(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, hold])
    front = proxy(ONE, ports={"back": backend.port})
    client: RawClient = front.client()
    client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: backend.conversations and b"GET /left" in backend.conversations[0].received, 15)
    client.close()
    front.logged(r'"GET /left HTTP/1.1" 499 ')


def goodbye(talk: Conversation) -> None:
    """Wait until the client has said so."""
    while not talk.received.endswith(b"bye") and talk.fill():
        pass


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
TUNNELS = ONE.replace(
    "location / {",
    "location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
    " proxy_set_header Connection upgrade;",
)
ASKS = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "status", "rest"),
    [
        ([SWITCH], 101, b""),
        ([SWITCH[:20], SWITCH[20:]], 101, b""),
        ([SWITCH + b"hello"], 101, b"hello"),
        ([b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + SWITCH], 101, b""),
        ([REFUSED], 403, b"no"),
        ([REFUSED[:30], REFUSED[30:]], 403, b"no"),
        ([SWITCH.replace(b"Upgrade", b"Up\0grade")], 502, None),
        ([b""], 502, None),
        ([reset], 502, None),
    ],
    ids=["101", "in two", "more", "hints", "refused", "refused in two", "wrong", "closed", "reset"],
)
def test_a_handshake_is_gone_on_with_whatever_is_answered(proxy, raw_backend, pieces, status, rest) -> None:
    """Its backend has no stream until something unusual is answered."""
    last = [goodbye, b"gone"] if status == 101 else []
    backend = raw_backend([read_head, *pieces, *last])
    front = proxy(TUNNELS, ports={"back": backend.port})
    with front.client() as client:
        client.send(ASKS)
        head = client.recv_until(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        if status == 101:
            client.send("bye")
            assert client.recv_all() == (rest or b"") + b"gone"
        elif rest is not None:
            assert client.recv_exactly(len(rest)) == rest
    front.logged(f'"GET / HTTP/1.1" {status} ')
    assert sum(each.received.count(b"GET / ") for each in backend.conversations) == 1, "nothing is asked twice"


def test_a_handshake_may_wait_for_too_long_or_in_vain(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, hold])
    front = proxy(TUNNELS, ports={"back": backend.port})
    with front.client() as client:
        assert client.send(ASKS).response().status == 504
    assert front.error_log().count("upstream timed out (110: Connection timed out) while reading response header") == 1
    with front.client() as client:
        client.send(ASKS.replace("/ HTTP", "/left HTTP"))
        eventually(lambda: len(backend.conversations) > 1 and b"GET /left" in backend.conversations[1].received, 15)
    front.logged(r'"GET /left HTTP/1.1" 499 ')
    backend.close()
    with front.client() as client:
        assert client.send(ASKS.replace("/ HTTP", "/nobody HTTP")).response().status == 502
    assert "Connection refused) while connecting to upstream" in front.error_log()
