"""HTTP/2 toward clients: requests with bodies and answers, as HTTP/1.1 has them, many at a time."""

import hashlib
import json
import shutil
import subprocess
import time
from contextlib import closing

import pytest

from harness.backends import HttpEcho, RawBackend, hold, read_head, read_until_end
from harness.binary import penstock
from harness.http2 import Http2Client
from harness.processes import resident
from harness.proxy import Proxy, in_http
from harness.waiting import eventually

CONFIGURATION = in_http(
    """
    log_format both "$request $status $server_protocol $http2 $connection_requests $bytes_sent $body_bytes_sent "
                    "$request_length $remote_addr";
    access_log access.log both;
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        root www;
        client_max_body_size 8m;
        set_real_ip_from 127.0.0.1;
        add_header X-Trailing $http_x_odd always;
        location / { }
        location /say { return 200 "$http2 $http_host $args $http_cookie"; }
        location /back/ { proxy_pass http://127.0.0.1:{port:back}/; }
        location /straight/ { proxy_pass http://127.0.0.1:{port:back}/; proxy_request_buffering off; }
        location /small { client_max_body_size 10; proxy_pass http://127.0.0.1:{port:back}; }
        location /gone { return 444; }
        location /hints { early_hints 1; proxy_pass http://127.0.0.1:{port:hints}; proxy_pass_trailers on; }
        location /real { return 200 $remote_addr; }
        location /login { auth_request /ask; alias www/missing.html; }
        location = /ask { proxy_pass http://127.0.0.1:{port:back}/ask; proxy_pass_request_body off; }
        location /slow { limit_rate 20k; }
        error_page 404 /missing.html;
    }
    """
)
BIG = bytes(range(256)) * 4096
HINTS = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
)


FILES = {"www/big": BIG, "www/slow": BIG[:60000], "www/missing.html": "not here"}


@pytest.fixture(scope="module")
def shared():
    """One backend and one proxy for all that only ask."""
    with closing(HttpEcho()) as backend, closing(RawBackend([read_head, HINTS])) as hints:
        ports = {"back": backend.port, "hints": hints.port}
        with Proxy(CONFIGURATION, penstock(), ports=ports, files=FILES) as front:
            yield front, backend


@pytest.fixture
def front(shared):
    return shared[0]


@pytest.fixture
def backend(shared):
    shared[1].requests.clear()
    return shared[1]


def test_a_request(front) -> None:
    with Http2Client(front.port()) as client:
        got = client.get("/say?a=1", ("cookie", "a=b"), ("cookie", "c=d"))
        assert (got.status, got.text) == (200, "h2c localhost a=1 a=b; c=d")
        assert got.header("content-length") == str(len(got.body))
        assert got.header("connection") is None and got.header("server")
        assert client.get("/say").text.startswith("h2c")
    front.logged(r"GET /say\?a=1 HTTP/2.0 200 HTTP/2.0 h2c 1 \d+ \d+ \d+ 127.0.0.1")
    front.logged(r"GET /say HTTP/2.0 200 HTTP/2.0 h2c 2 ")


def test_http_1_is_spoken_at_the_same_address(front) -> None:
    assert front.get("/say").text.startswith(" 127.0.0.1") or front.get("/say").status == 200
    assert front.logged(r"GET /say HTTP/1.1 200 HTTP/1.1 -")


def test_a_file_and_its_figures(front) -> None:
    with Http2Client(front.port()) as client:
        assert client.get("/big").body == BIG
    line = front.logged(r"GET /big HTTP/2.0 200 HTTP/2.0 h2c 1 (\d+) (\d+) ")
    total, body = int(line[1]), int(line[2])
    assert body > len(BIG) and (body - len(BIG)) % 9 == 0, "frames are counted with their heads, as in nginx"
    assert body < total < body + 1000


def test_head_ranges_and_pages(front) -> None:
    with Http2Client(front.port()) as client:
        head = client.get("/big", method="HEAD")
        assert (head.status, head.header("content-length"), head.body) == (200, str(len(BIG)), b"")
        part = client.get("/big", ("range", "bytes=10-19"))
        assert (part.status, part.body) == (206, BIG[10:20])
        missing = client.get("/nothing")
        assert (missing.status, missing.text) == (404, "not here")
        unchanged = client.get("/big", ("if-none-match", head.header("etag") or ""))
        assert (unchanged.status, unchanged.body) == (304, b"")


@pytest.mark.parametrize("path", ["/back/x", "/straight/x"])
def test_bodies_go_through(front, backend: HttpEcho, path: str) -> None:
    with Http2Client(front.port()) as client:
        stream = client.open(path, ("content-length", str(len(BIG))), method="POST", ended=False)
        client.send(stream, BIG, ended=True)
        assert client.read(stream).status == 200
        unknown = client.open(path, method="POST", ended=False)
        client.send(unknown, BIG[:70000], ended=True)
        assert client.read(unknown).status == 200
    assert [request.body for request in backend.requests] == [BIG, BIG[:70000]]
    assert backend.requests[0].header("host") and backend.requests[0].header("upgrade") is None


@pytest.mark.parametrize(("announced", "sent"), [(5, 4), (3, 4)])
def test_a_length_that_lies(front, backend: HttpEcho, announced: int, sent: int) -> None:
    with Http2Client(front.port()) as client:
        stream = client.open("/back/x", ("content-length", str(announced)), method="POST", ended=False)
        client.send(stream, b"x" * sent, ended=True)
        assert client.read(stream).status == 400
        assert client.get("/say").status == 200, "the connection goes on"
    assert not backend.requests


def test_too_large_a_body(front) -> None:
    with Http2Client(front.port()) as client:
        stream = client.open("/small", method="POST", ended=False)
        client.send(stream, b"x" * 20, ended=True)
        assert client.read(stream).status == 413
        announced = client.open("/small", ("content-length", "11"), method="POST", ended=False)
        answered = client.read(announced)
        assert answered.status == 413 and answered.ended
        client.until(lambda: answered.reset is not None)
        assert answered.reset == 0, "the rest is not wanted"


def test_nothing_is_said(front) -> None:
    with Http2Client(front.port()) as client:
        gone = client.get("/gone")
        assert not gone.headers and gone.reset is not None
        assert client.get("/say").status == 200


def test_interim_answers_and_trailers(front) -> None:
    with Http2Client(front.port()) as client:
        got = client.get("/hints", ("te", "trailers"))
        assert [dict(each).get("link") for each in got.interim] == ["</a.css>"]
        assert (got.status, got.text, got.trailers) == (200, "ok", [("x-sum", "1")])
        assert got.header("transfer-encoding") is None and got.header("connection") is None


def test_a_client_that_waits_to_be_told(front) -> None:
    with Http2Client(front.port()) as client:
        stream = client.open("/back/x", ("expect", "100-continue"), ("content-length", "4"), method="POST", ended=False)
        assert client.until(lambda: bool(client.streams[stream].interim))
        client.send(stream, b"body", ended=True)
        got = client.read(stream)
        assert got.status == 200 and [dict(each)[":status"] for each in got.interim] == ["100"]


def test_the_address_of_one_request_is_not_that_of_another(front) -> None:
    with Http2Client(front.port()) as client:
        first = client.open("/real", ("x-real-ip", "192.0.2.1"))
        second = client.open("/real", ("x-real-ip", "192.0.2.2"))
        third = client.open("/real")
        assert [client.read(each).text for each in (first, second, third)] == ["192.0.2.1", "192.0.2.2", "127.0.0.1"]
    front.logged(r"GET /real HTTP/2.0 200 .* 192.0.2.2\n")


def test_subrequests(front, backend: HttpEcho) -> None:
    with Http2Client(front.port()) as client:
        assert client.get("/login").text == "not here"
    assert backend.requests[0].target == "/ask"


def test_limit_rate_and_a_sibling_that_is_not_slowed_down(front) -> None:
    with Http2Client(front.port()) as client:
        began = time.monotonic()
        slow = client.open("/slow")
        assert client.get("/say").status == 200
        assert not client.streams[slow].over
        assert client.read(slow).body == BIG[:60000]
        assert time.monotonic() - began > 1.5


def test_a_stream_that_is_not_read_does_not_hold_up_its_siblings(front) -> None:
    with Http2Client(front.port(), greedy=False) as client:
        client.h2.increment_flow_control_window(1 << 24)
        stuck = client.open("/big")
        client.until(lambda: len(client.streams[stuck].body) >= 65535)
        for _ in range(3):
            assert client.get("/say").status == 200
        other = client.open("/big")
        client.h2.increment_flow_control_window(1 << 24, other)
        client.flush()
        assert client.read(other).body == BIG
        assert len(client.streams[stuck].body) == 65535
        client.h2.increment_flow_control_window(1 << 24, stuck)
        client.flush()
        assert client.read(stuck).body == BIG


def test_a_fast_backend_does_not_fill_memory(proxy, raw_backend) -> None:
    """What a client does not take is neither read from the backend nor kept."""
    backend = raw_backend([read_head, b"HTTP/1.0 200 OK\r\n\r\n" + bytes(64 << 20)])
    front = proxy(
        in_http(
            """
            http2 on;
            server {
                listen 127.0.0.1:{port:front};
                location / { proxy_pass http://127.0.0.1:{port:back}; proxy_buffering off; }
            }
            """
        ),
        ports={"back": backend.port},
    )
    with Http2Client(front.port(), greedy=False) as client:
        stream = client.open("/")
        client.until(lambda: len(client.streams[stream].body) >= 65535)
        client.quiet(0.3)
        assert len(client.streams[stream].body) == 65535
        assert not backend.conversations[0].ended.is_set(), "the backend has not said all it has to say"
        kept = resident(*front.children())
        client.h2.increment_flow_control_window(1 << 22, stream)
        client.h2.increment_flow_control_window(1 << 22)
        client.flush()
        client.until(lambda: len(client.streams[stream].body) > 4 << 20)
        client.quiet(0.3)
        assert resident(*front.children()) < kept + (8 << 20)


def test_a_reset_ends_the_request_at_the_backend_too(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, read_until_end, hold])
    front = proxy(CONFIGURATION, ports={"back": backend.port, "hints": backend.port})
    with Http2Client(front.port()) as client:
        stream = client.open("/back/x")
        eventually(lambda: backend.conversations)
        client.reset(stream)
        front.logged(r"GET /back/x HTTP/2.0 499 ")
        assert client.get("/say").status == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_with_tls(proxy, authority, tmp_path) -> None:
    front = proxy(
        in_http(
            """
            server {
                listen 127.0.0.1:{port:front} ssl;
                http2 on;
                ssl_certificate {value:certificate};
                ssl_certificate_key {value:key};
                return 200 "$http2 $ssl_alpn_protocol";
            }
            server {
                listen 127.0.0.1:{port:front} ssl;
                server_name old.test;
                ssl_certificate {value:certificate};
                ssl_certificate_key {value:key};
                return 200 "$http2 $server_protocol";
            }
            """
        ),
        values=dict(zip(("certificate", "key"), _paths(authority.issue("localhost", "old.test")), strict=True)),
    )

    def curl(name: str, *options: str) -> str:
        command = ["curl", "-sS", "--cacert", str(authority.certificate)]
        command += ["--resolve", f"{name}:{front.port()}:127.0.0.1"]
        url = f"https://{name}:{front.port()}/"
        done = subprocess.run([*command, *options, url], capture_output=True, text=True, timeout=20, check=False)
        return done.stdout + done.stderr

    assert curl("localhost", "--http2") == "h2 h2"
    assert curl("localhost", "--http1.1").startswith(" ")
    assert curl("old.test", "--http2") == " HTTP/1.1", "this server has not switched it on"


def _paths(pair) -> tuple[str, str]:
    return str(pair.certificate), str(pair.key)


def test_another_name_on_the_connection_is_misdirected(proxy) -> None:
    front = proxy(
        in_http(
            """
            server { listen 127.0.0.1:{port:front}; http2 on; return 200 here; }
            server { listen 127.0.0.1:{port:front}; server_name old.test; return 200 old; }
            """
        )
    )
    with Http2Client(front.port()) as client:
        assert client.get("/").text == "here"
        assert client.get("/", host="old.test").status == 421


def test_many_streams_and_sums(front) -> None:
    with Http2Client(front.port()) as client:
        streams = [client.open("/big") for _ in range(20)]
        wanted = hashlib.sha256(BIG).digest()
        for stream in streams:
            assert hashlib.sha256(client.read(stream).body).digest() == wanted


def test_the_backend_gets_a_request_of_http_1(front, backend: HttpEcho) -> None:
    with Http2Client(front.port()) as client:
        got = json.loads(client.get("/back/path?q=1", ("x-a", "b"), ("te", "trailers")).text)
    assert got["line"].startswith("GET /path?q=1 HTTP/1")
    names = [name.lower() for name, _ in backend.requests[0].headers]
    assert "x-a" in names and "te" not in names and not any(name.startswith(":") for name in names)


REFUSED_HEADS = {
    "no host": [(":method", "HEAD"), (":scheme", "http"), (":path", "/")],
    "bad host": [(":method", "HEAD"), (":scheme", "http"), (":path", "/"), (":authority", "a b")],
    "bad path": [(":method", "HEAD"), (":scheme", "http"), (":path", "x"), (":authority", "a")],
    "no path": [(":method", "HEAD"), (":scheme", "http"), (":authority", "a")],
    "bad field before the method": [(":path", "/\x01"), (":method", "HEAD"), (":scheme", "http"), (":authority", "a")],
    "of a connection": [
        (":method", "HEAD"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("connection", "x")
    ],
    "broken escape": [(":method", "HEAD"), (":scheme", "http"), (":path", "/%zz"), (":authority", "a")],
}


@pytest.mark.parametrize("name", REFUSED_HEADS)
def test_an_answer_to_a_refused_head_has_no_body(proxy, name) -> None:
    front = proxy(in_http("http2 on; server { listen 127.0.0.1:{port:front}; return 200 x; }"))
    with Http2Client(front.port()) as client:
        answered = client.read(client.open_with(REFUSED_HEADS[name]))
        assert (answered.status, bytes(answered.body)) == (400, b"")


def test_what_a_backend_says_of_nothing_is_passed_on(proxy, raw_backend) -> None:
    for status in (b"204 No Content", b"304 Not Modified"):
        backend = raw_backend([read_head, b"HTTP/1.1 %b\r\nContent-Type: text/x-own\r\n\r\n" % status])
        front = proxy(
            in_http(
                """
                http2 on;
                server { listen 127.0.0.1:{port:front}; location / { proxy_pass http://127.0.0.1:{port:back}; } }
                """
            ),
            ports={"back": backend.port},
        )
        with Http2Client(front.port()) as client:
            answered = client.get("/")
            assert (str(answered.status).encode(), answered.header("content-type")) == (status[:3], "text/x-own")
