"""Backends that fail: what the client gets, what the logs say, and who is tried next."""

import threading

import pytest

from harness.backends import hold, pause, read_head, reset, until
from harness.ports import free_port
from harness.proxy import in_http, in_server
from harness.waiting import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
KEPT = OK.replace(b"Connection: close\r\n", b"")
LOCATION = in_server(
    """
    proxy_read_timeout 1500ms;
    location / { proxy_pass http://127.0.0.1:{port:back}; }
    """
)


@pytest.mark.parametrize(
    ("script", "status", "line"),
    [
        ([read_head], 502, "upstream prematurely closed connection while reading response header from upstream"),
        (
            [read_head, reset],
            502,
            r"recv\(\) failed \(104: Connection reset by peer\) while reading response header from upstream",
        ),
        (
            [read_head, hold],
            504,
            r"upstream timed out \(110: Connection timed out\) while reading response header from upstream",
        ),
        ([read_head, b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", hold], 502, "upstream sent invalid header"),
        ([read_head, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000, hold], 502, "upstream sent too big header"),
        (
            [read_head, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", hold],
            502,
            'upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time',
        ),
    ],
)
def test_one_peer(proxy, raw_backend, script, status: int, line: str) -> None:
    front = proxy(LOCATION, ports={"back": raw_backend(script).port})
    assert front.get("/").status == status
    front.logged(rf'\[error\] .*{line}.*, upstream: "http://127\.0\.0\.1:\d+/", host: "localhost"', name="error.log")


def test_nobody_listens(proxy) -> None:
    dead = free_port()
    front = proxy(LOCATION, ports={"back": dead})
    assert front.get("/").status == 502
    front.logged(r"connect\(\) failed \(111: Connection refused\) while connecting to upstream", name="error.log")


GROUPS = """
    log_format up "$status [$upstream_addr] [$upstream_status]";
    access_log access.log up;
    upstream pair { server 127.0.0.1:{port:dead} max_fails=2 fail_timeout=30s; server 127.0.0.1:{port:back}; }
    upstream spare { server 127.0.0.1:{port:dead}; server 127.0.0.1:{port:back} backup; }
    upstream none { server 127.0.0.1:{port:dead}; server 127.0.0.1:{port:other} down; }
    upstream gone { server 127.0.0.1:{port:dead} down; server 127.0.0.1:{port:other} down; }
    server {
        listen 127.0.0.1:{port:front};
        location / { proxy_pass http://pair; }
        location /post { proxy_pass http://pair; proxy_next_upstream error non_idempotent; }
        location /never { proxy_pass http://pair; proxy_next_upstream off; }
        location /spare { proxy_pass http://spare; }
        location /none { proxy_pass http://none; }
        location /gone { proxy_pass http://gone; }
    }
    """


def test_the_next_peer(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, OK])
    front = proxy(in_http(GROUPS), ports={"back": backend.port, "dead": free_port(), "other": free_port()})
    dead, back = (f"127.0.0.1:{front.ports[name]}" for name in ("dead", "back"))
    assert [front.get("/").status for _ in range(4)] == [200] * 4
    lines = eventually(lambda: len(found := front.access_log().splitlines()) == 4 and found)
    tried_both = f"200 [{dead}, {back}] [502, 200]"
    assert lines == [tried_both, f"200 [{back}] [200]", tried_both, f"200 [{back}] [200]"]
    front.logged(r"\[warn\] .*upstream server temporarily disabled", name="error.log")
    assert [front.get("/").status for _ in range(3)] == [200] * 3
    assert front.error_log().count("connect() failed") == 2, "two failures are enough for half a minute"
    assert front.get("/spare").status == 200
    front.logged(rf"(?m)^200 \[{dead}, {back}\] \[502, 200\]$")
    assert front.get("/none").status == 502
    assert front.get("/none").status == 502
    assert front.get("/gone").status == 502
    front.logged("no live upstreams while connecting to upstream", name="error.log")
    front.logged(r"(?m)^502 \[gone\] \[502\]$")
    assert front.access_log().count(f"502 [{dead}] [502]\n") == 2, "where nobody else is left, it is tried again"


CONDITIONS = """
    upstream pair { server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; keepalive 0; }
    server {
        listen 127.0.0.1:{port:front};
        location / { proxy_pass http://pair; proxy_next_upstream error timeout http_503 http_404; }
        location /post { proxy_pass http://pair; proxy_next_upstream error http_503 non_idempotent; }
        location /timeout { proxy_pass http://pair; proxy_read_timeout 200ms; }
        location /tries { proxy_pass http://pair; proxy_next_upstream http_503; proxy_next_upstream_tries 1; }
        location /late { proxy_pass http://pair; proxy_next_upstream http_503; proxy_next_upstream_timeout 100ms; }
    }
    """


@pytest.mark.parametrize(
    ("method", "location", "script", "status"),
    [
        ("GET", "/", [read_head, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"], 200),
        ("GET", "/", [read_head, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"], 200),
        ("GET", "/", [read_head, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"], 500),
        ("GET", "/", [read_head], 200),
        ("POST", "/", [read_head], 502),
        ("POST", "/post", [read_head], 200),
        ("PUT", "/", [read_head], 200),
        ("GET", "/timeout", [read_head, pause(1)], 200),
        ("GET", "/tries", [read_head, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"], 503),
        ("GET", "/late", [read_head, pause(0.3), b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"], 503),
    ],
)
def test_conditions(proxy, raw_backend, method: str, location: str, script, status: int) -> None:
    one, two = raw_backend(script), raw_backend([read_head, OK])
    front = proxy(in_http(CONDITIONS), ports={"one": one.port, "two": two.port})
    assert front.get(location, method=method, body=b"x" * 10).status == status
    assert len(two.conversations) == (1 if status == 200 else 0)


def test_a_kept_connection_that_was_closed_is_no_failure(proxy, raw_backend) -> None:
    def closes_on_the_second(talk) -> None:
        talk.received = b""
        read_head(talk)

    backend = raw_backend([read_head, KEPT, closes_on_the_second], [read_head, KEPT, hold])
    front = proxy(
        in_http(
            """
            upstream group { server 127.0.0.1:{port:back}; }
            server { listen 127.0.0.1:{port:front}; location / { proxy_pass http://group; } }
            """
        ),
        ports={"back": backend.port},
    )
    assert front.get("/").status == 200
    assert front.get("/").status == 200
    assert len(backend.conversations) == 2


def test_slots_are_bounded(proxy, raw_backend) -> None:
    other_refused = threading.Event()
    backend = raw_backend([read_head, until(other_refused), OK], [read_head, OK])
    front = proxy(
        in_http(
            """
            upstream group { server 127.0.0.1:{port:back} max_conns=1; }
            server { listen 127.0.0.1:{port:front}; location / { proxy_pass http://group; } }
            """
        ),
        ports={"back": backend.port},
    )
    with front.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: backend.conversations)
        assert front.get("/").status == 502
        other_refused.set()
        assert client.response().status == 200
    eventually(lambda: front.get("/").status == 200)
