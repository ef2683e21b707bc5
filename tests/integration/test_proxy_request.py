"""What a backend gets: the request line, headers, body, connection."""

import threading
import time

import pytest

from harness.backends import RawBackend, half_close, hold, pause, read, read_head, until
from harness.proxy import in_http
from harness.waiting import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ONE = [read_head, OK]


def head_of(backend: RawBackend, number: int = -1) -> list[str]:
    """The request head of a connection, as lines."""
    return backend.conversations[number].received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


URIS = """
    upstream group { server 127.0.0.1:{port:back}; keepalive 0; }
    server {
        listen 127.0.0.1:{port:front};
        location /as/is/ { proxy_pass http://group; }
        location /old/ { proxy_pass http://group/new/; }
        location /bare { proxy_pass http://group/; }
        location ~ ^/regex/(.*)$ { proxy_pass http://127.0.0.1:{port:back}/got/$1?x=$args; }
        location /variable/ { proxy_pass http://$arg_to; }
        location /rewritten/ { rewrite ^/rewritten/(.*)$ /to/$1 break; proxy_pass http://group/ignored/; }
        location /renamed/ { rewrite ^/renamed/(.*)$ /now/$1 last; }
        location /now/ { proxy_pass http://group; }
    }
    """


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/as/is/%7Ea//b/../c?q=%20", "/as/is/%7Ea//b/../c?q=%20"),
        ("/old/%7Ea//b/../c?q=%20", "/new/~a/c?q=%20"),
        ("/old/a%20b%3Fc", "/new/a%20b%3Fc"),
        ("/barefoot", "/foot"),
        ("/regex/a?b", "/got/a?x=b"),
        ("/variable/x?to={back}", "/variable/x?to={back}"),
        ("/variable/x?to={back}/y", "/y"),
        ("/variable/x?to=group", "/variable/x?to=group"),
        ("/rewritten/a?b", "/to/a?b"),
        ("/renamed/a%20b", "/now/a%20b"),
    ],
)
def test_uris(uris, asked: str, seen: str) -> None:
    front, backend = uris
    back = f"127.0.0.1:{backend.port}"
    assert front.get(asked.format(back=back)).status == 200
    assert head_of(backend)[0] == f"GET {seen.format(back=back)} HTTP/1.1"


@pytest.fixture(scope="module")
def uris():
    from harness.binary import penstock
    from harness.proxy import Proxy

    with RawBackend(ONE) as backend, Proxy(in_http(URIS), penstock(), ports={"back": backend.port}) as front:
        yield front, backend


def test_headers(proxy, raw_backend) -> None:
    backend = raw_backend(ONE)
    front = proxy(
        in_http(
            """
            proxy_set_header X-Above 1;
            server {
                listen 127.0.0.1:{port:front};
                location / { proxy_pass http://127.0.0.1:{port:back}; }
                location /own {
                    proxy_pass http://127.0.0.1:{port:back};
                    proxy_set_header Host $host;
                    proxy_set_header X-Twice a;
                    proxy_set_header X-Twice $arg_empty;
                    proxy_set_header X-Twice b;
                    proxy_set_header X-For $proxy_add_x_forwarded_for;
                    proxy_set_header X-Where $proxy_host:$proxy_port;
                    proxy_set_header Accept "";
                    proxy_set_header Connection "";
                }
                location /old { proxy_pass http://127.0.0.1:{port:back}; proxy_http_version 1.0; }
                location /less { proxy_pass http://127.0.0.1:{port:back}; proxy_pass_request_headers off; }
                location /method {
                    proxy_pass http://127.0.0.1:{port:back};
                    proxy_method PUT;
                    proxy_set_body "is $args";
                }
            }
            """
        ),
        ports={"back": backend.port},
    )
    hops = {"TE": "trailers", "Keep-Alive": "x", "Upgrade": "y", "Proxy-Connection": "z", "Expect": "w"}
    front.get("/", {**hops, "X-Own": "A", "x-own": "B"})
    back = f"127.0.0.1:{backend.port}"
    assert head_of(backend) == ["GET / HTTP/1.1", f"Host: {back}", "X-Above: 1", "X-Own: A", "x-own: B"]
    front.get("/own", {"Accept": "all", "X-Twice": "mine", "X-Forwarded-For": "1.2.3.4", "Host": "Example.com"})
    assert head_of(backend) == [
        "GET /own HTTP/1.1",
        "Host: example.com",
        "X-Twice: a",
        "X-Twice: b",
        "X-For: 1.2.3.4, 127.0.0.1",
        f"X-Where: {back}:{backend.port}",
        "X-Forwarded-For: 1.2.3.4",
    ]
    front.get("/old")
    assert head_of(backend) == ["GET /old HTTP/1.0", f"Host: {back}", "X-Above: 1"]
    front.get("/less", {"X-Own": "A"})
    assert head_of(backend) == ["GET /less HTTP/1.1", f"Host: {back}", "X-Above: 1"]
    front.get("/method?it")
    assert head_of(backend)[0] == "PUT /method?it HTTP/1.1"
    assert "Content-Length: 5" in head_of(backend)
    eventually(lambda: backend.conversations[-1].received.endswith(b"\r\n\r\nis it"))


def test_bodies_buffered_and_streamed(proxy, raw_backend) -> None:
    body = bytes(range(256)) * 400
    echo = [read_head, pause(0.05), read(100000), OK]
    backend = raw_backend(echo)
    front = proxy(
        in_http(
            """
            client_body_buffer_size 16k;
            server {
                listen 127.0.0.1:{port:front};
                location / { proxy_pass http://127.0.0.1:{port:back}; }
                location /streamed { proxy_pass http://127.0.0.1:{port:back}; proxy_request_buffering off; }
            }
            """
        ),
        ports={"back": backend.port},
    )

    def received() -> tuple[list[str], bytes]:
        head, _, rest = backend.conversations[-1].received.partition(b"\r\n\r\n")
        return head.decode("latin-1").split("\r\n"), rest

    assert front.get("/", method="POST", body=body).status == 200
    head, rest = received()
    assert f"Content-Length: {len(body)}" in head and rest == body
    assert "buffered to a temporary file" in front.error_log()

    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:70000], body[70000:])) + b"0\r\n\r\n"
    chunked = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with front.client() as client:
        assert client.send(chunked % b"/" + chunks).response().status == 200
    head, rest = received()
    assert f"Content-Length: {len(body)}" in head and rest == body
    assert not any(line.lower().startswith("transfer-encoding") for line in head)

    with front.client() as client:
        client.send(chunked % b"/streamed" + chunks[:30000])
        eventually(lambda: len(backend.conversations[-1].received) > 20000, why="it goes on before it is complete")
        assert client.send(chunks[30000:]).response().status == 200
    head, rest = received()
    assert "Transfer-Encoding: chunked" in head
    assert not any(line.lower().startswith("content-length") for line in head)
    assert b"".join(part for part in _dechunk(rest)) == body


def _dechunk(data: bytes) -> list[bytes]:
    from penstock.http.chunked import ChunkedDecoder

    return ChunkedDecoder().feed(data)


def test_early_answer_stops_the_body(proxy, raw_backend) -> None:
    refusal = b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno"
    backend = raw_backend([read_head, refusal, half_close, pause(0.3)])
    front = proxy(
        in_http(
            """
            client_max_body_size 0;
            server {
                listen 127.0.0.1:{port:front};
                location / { proxy_pass http://127.0.0.1:{port:back}; proxy_request_buffering off; }
            }
            """
        ),
        ports={"back": backend.port},
    )
    with front.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 1000)
        answer = client.response()
    assert (answer.status, answer.body) == (413, b"no")


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.parametrize(
    "framing", ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
)
def test_a_client_that_stops_amid_its_body_is_no_failure_of_the_backend(
    proxy, raw_backend, framing: str, stalls: bool
) -> None:
    backend = raw_backend([read_head, hold])
    front = proxy(
        in_http(
            """
            upstream group { server 127.0.0.1:{port:back} max_fails=1; server 127.0.0.1:{port:back} backup; }
            log_format short "$status $upstream_addr";
            access_log access.log short;
            server {
                listen 127.0.0.1:{port:front};
                client_body_timeout {value:patience};
                location / { proxy_pass http://group; proxy_request_buffering off; }
            }
            """
        ),
        ports={"back": backend.port},
        values={"patience": "300ms" if stalls else "30s"},
    )
    with front.client() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}")
        eventually(lambda: backend.conversations and b"hello" in backend.conversations[0].received)
        if not stalls:
            client.half_close()
        assert client.closed(), "without a word"
    front.logged(rf"^{408 if stalls else 499} 127.0.0.1:{backend.port}\n")
    assert "[error]" not in front.error_log() and "upstream timed out" not in front.error_log()
    assert backend.conversations[0].ended.wait(20)


def test_connections_are_kept_and_left(proxy, raw_backend) -> None:
    close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

    def next_head(talk) -> None:
        talk.received = b""
        read_head(talk)

    backend = raw_backend([read_head, OK, next_head, OK, next_head, close, hold], [read_head, OK, hold])
    front = proxy(
        in_http(
            """
            upstream group { server 127.0.0.1:{port:back}; }
            server {
                listen 127.0.0.1:{port:front};
                location / { proxy_pass http://group; }
                location /else { proxy_pass http://group; }
            }
            """
        ),
        ports={"back": backend.port},
    )
    for _ in range(3):
        assert front.get("/").body == b"ok"
    assert len(backend.conversations) == 1
    front.get("/")
    assert len(backend.conversations) == 2, "what a backend closes is not used again"
    front.get("/else")
    assert len(backend.conversations) == 3, "each location keeps its own, unless keepalive says otherwise"


def test_client_abort_drops_the_backend(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, hold])
    front = proxy(
        in_http(
            """
            log_format status $status;
            access_log access.log status;
            server { listen 127.0.0.1:{port:front}; location / { proxy_pass http://127.0.0.1:{port:back}; } }
            """
        ),
        ports={"back": backend.port},
    )
    with front.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: backend.conversations and backend.conversations[0].received)
    assert backend.conversations[0].ended.wait(20)
    front.logged("^499$")


ABORTS = in_http(
    """
    log_format status $status;
    access_log access.log status;
    server {
        listen 127.0.0.1:{port:front};
        location / { proxy_pass http://127.0.0.1:{port:back}; }
        location /streamed { proxy_pass http://127.0.0.1:{port:back}; proxy_buffering off; }
        location /ignored { proxy_pass http://127.0.0.1:{port:back}; proxy_ignore_client_abort on; }
    }
    """
)


@pytest.mark.parametrize("location", ["/", "/streamed"])
def test_client_abort_within_the_answer(proxy, raw_backend, location: str) -> None:
    backend = raw_backend([read_head, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", hold])
    front = proxy(ABORTS, ports={"back": backend.port})
    with front.client() as client:
        client.send(f"GET {location} HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv_until(b"abc")
    assert backend.conversations[0].ended.wait(20)
    front.logged("^200$")


def test_client_abort_ignored(proxy, raw_backend) -> None:
    client_gone = threading.Event()
    backend = raw_backend([read_head, until(client_gone), OK, hold])
    front = proxy(ABORTS, ports={"back": backend.port})
    with front.client() as client:
        client.send(b"GET /ignored HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: backend.conversations and backend.conversations[0].received)
    time.sleep(0.3)
    client_gone.set()
    front.logged("^200$")


def test_a_backend_named_by_variables_that_are_nginx_s_own(proxy, raw_backend) -> None:
    """`$proxy_host` and `$proxy_port` may be set, and are what was set also in the headers."""
    backend = raw_backend(ONE)
    front = proxy(
        in_http(
            r"""
            server {
                listen 127.0.0.1:{port:front};
                location ~ ^/to/(\d+)(/.*)$ {
                    set $proxy_host 127.0.0.1;
                    set $proxy_port $1;
                    proxy_set_header X-Seen "$proxy_host:$proxy_port";
                    proxy_pass http://$proxy_host:$proxy_port$2$is_args$args;
                }
            }
            """
        )
    )
    assert front.get(f"/to/{backend.port}/x?a=b").status == 200
    head = head_of(backend)
    assert head[0].startswith("GET /x?a=b HTTP/1.")
    assert f"X-Seen: 127.0.0.1:{backend.port}" in head
