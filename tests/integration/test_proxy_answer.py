"""What a client gets of a backend's answer."""

import re
import socket
import time

import pytest

from harness.backends import hold, pause, read_head
from harness.proxy import in_http, in_server
from harness.waiting import eventually

SERVER = in_server(
    """
    location / { proxy_pass http://127.0.0.1:{port:back}; }
    location /streamed { proxy_pass http://127.0.0.1:{port:back}; proxy_buffering off; }
    """
)


def answer(head: str, body: bytes = b"") -> list:
    return [read_head, head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body]


def test_headers_that_pass_and_that_stay(proxy, raw_backend) -> None:
    head = """HTTP/1.1 201 So Be It
Date: Mon, 01 Jan 2001 00:00:00 GMT
Server: other
X-Pad: x
X-Accel-Expires: 0
Content-Type: text/html; charset=koi8-r
ETag: "a"
Last-Modified: Mon, 01 Jan 2001 00:00:00 GMT
Keep-Alive: timeout=5
Set-Cookie: a=1
Set-Cookie: b=2
X-Secret: s
X-Kept: k
Content-Length: 2"""
    backend = raw_backend(answer(head, b"ok"))
    front = proxy(
        in_server(
            """
            proxy_hide_header X-Secret;
            location / { proxy_pass http://127.0.0.1:{port:back}; proxy_pass_header X-Pad; }
            """
        ),
        ports={"back": backend.port},
    )
    got = front.get("/")
    assert (got.status, got.reason, got.body) == (201, "So Be It", b"ok")
    assert got.header("Content-Type") == "text/html; charset=koi8-r"
    assert got.all("Set-Cookie") == ["a=1", "b=2"]
    assert (got.header("ETag"), got.header("X-Kept"), got.header("X-Pad")) == ('"a"', "k", "x")
    assert got.header("Last-Modified") == "Mon, 01 Jan 2001 00:00:00 GMT"
    assert got.all("Date") != ["Mon, 01 Jan 2001 00:00:00 GMT"] and len(got.all("Date")) == 1
    assert got.all("Server") != ["other"]
    assert not (got.all("X-Secret") or got.all("X-Accel-Expires") or got.all("Keep-Alive"))


@pytest.mark.parametrize("kept", ["off", "one"])
@pytest.mark.parametrize("name", ["Date", "Server"])
def test_what_is_the_backends_is_none_where_it_sends_none(proxy, nginx, raw_backend, name: str, kept: str) -> None:
    """`proxy_pass_header Date`: the backend's, or none; here and in nginx. The other one stays ours."""
    text = f"""
        http {{
            proxy_cache_path {{dir}}/kept keys_zone=one:1m;
            server {{
                listen 127.0.0.1:{{port:front}};
                proxy_cache {kept};
                proxy_cache_valid 1h;
                proxy_pass_header {name};
                location / {{ proxy_pass http://127.0.0.1:{{port:back}}; }}
            }}
        }}
        """
    with_it = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%b: theirs\r\n\r\nok" % name.encode()
    without = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    other = "Server" if name == "Date" else "Date"
    for start in (proxy, nginx):
        backend = raw_backend(*([read_head, said] for said in (with_it, without, without)))
        front = start(text, ports={"back": backend.port})
        answers = [front.get(f"/{number}") for number in range(3)]
        answers += [front.get(f"/{number}") for number in range(3)] if kept == "one" else []
        assert [got.all(name) for got in answers] == [["theirs"], [], []] * (2 if kept == "one" else 1)
        assert {len(got.all(other)) for got in answers} == {1}


@pytest.mark.parametrize("location", ["/", "/streamed"])
def test_bodies(proxy, raw_backend, location: str) -> None:
    big = bytes(range(256)) * 2000
    sized = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    backend = raw_backend(
        [read_head, sized, big],
        [read_head, b"HTTP/1.1 200 OK\r\n\r\n", big],
        [read_head, chunked, b"3\r\nabc\r\n", pause(0.05), b"4\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n", hold],
        [read_head, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", hold],
        [read_head, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", hold],
        [read_head, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + sized, big],
        [read_head, sized, big[:1000]],
        [read_head, chunked, b"3\r\nabc\r\n"],
        [read_head, chunked + b"3\r\nabc\r\nX\r\n", hold],
    )
    front = proxy(SERVER, ports={"back": backend.port})
    assert front.get(location).body == big
    assert front.get(location).body == big
    assert front.get(location).body == b"abcdefg"
    assert front.get(location).body == b"abc"
    assert "upstream sent more data than specified" in front.error_log()
    assert front.get(location).status == 304
    assert front.get(location).body == big
    cut = front.get(location)
    assert (cut.status, cut.body) == (200, big[:1000]), "what came, and then the end: not an answer that looks whole"
    assert "upstream prematurely closed connection while reading upstream" in front.error_log()
    with front.client() as client, pytest.raises(ConnectionError):
        client.send(f"GET {location} HTTP/1.1\r\nHost: a\r\n\r\n").response()
    assert front.get(location).status == 502, "broken from the start, and nothing has been sent yet"


def test_a_slow_client_does_not_hold_the_backend(proxy, raw_backend) -> None:
    big = b"x" * 40_000_000
    backend = raw_backend([read_head, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big), big])
    front = proxy(SERVER, ports={"back": backend.port})
    with front.client(timeout=10) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert eventually(lambda: backend.conversations and backend.conversations[0].ended.is_set())
        assert "an upstream response is buffered to a temporary file" in front.error_log()
        assert _body_size(client.socket) == len(big)
    with front.client(timeout=10) as client:
        client.send(b"GET /streamed HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.5)
        assert not backend.conversations[1].ended.is_set(), "without buffering the client sets the pace"
        assert _body_size(client.socket) == len(big)


def _body_size(sock: socket.socket) -> int:
    """How long a body comes; what it is made of does not matter, and there is much of it."""
    data = sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"Content-Length: ([0-9]+)", head)
    assert found is not None
    size = len(body)
    while size < int(found[1]):
        data = sock.recv(1 << 20)
        assert data, "it ends early"
        size += len(data)
    return size


def test_a_rate_bounds_what_is_read_from_the_backend(proxy, raw_backend) -> None:
    body = b"x" * 40000
    backend = raw_backend([read_head, b"HTTP/1.1 200 OK\r\nX-Rate: 20000\r\nContent-Length: 40000\r\n\r\n" + body])
    front = proxy(
        in_server("location / { proxy_limit_rate $upstream_http_x_rate; proxy_pass http://127.0.0.1:{port:api}; }"),
        ports={"api": backend.port},
    )
    began = time.monotonic()
    assert front.get().body == body
    assert time.monotonic() - began > 0.9, "one second's worth at once, the other in a second"


def test_answers_that_ask_for_something(proxy, raw_backend) -> None:
    ok = "HTTP/1.1 200 OK\nContent-Length: 2\n"
    backend = raw_backend(
        answer(ok + "X-Accel-Redirect: /inside/x%20y?z", b"ok"),
        answer(ok + "X-Accel-Redirect: @named\nSet-Cookie: a=1", b"ok"),
        answer(ok + "X-Accel-Redirect: /inside/../../etc", b"ok"),
        answer(ok + "X-Accel-Charset: utf-8\nContent-Type: text/css; charset=x", b"ok"),
        answer("HTTP/1.1 404 Not Found\nContent-Length: 2", b"no"),
        answer("HTTP/1.1 401 Unauthorized\nContent-Length: 2\nWWW-Authenticate: Basic", b"no"),
    )
    front = proxy(
        in_server(
            """
            error_page 401 404 /inside/error;
            location / { proxy_pass http://127.0.0.1:{port:back}; proxy_intercept_errors on; }
            location /inside/ { internal; return 200 "$uri $args $upstream_status"; }
            location @named { return 200 named; }
            """
        ),
        ports={"back": backend.port},
    )
    assert front.get("/").text == "/inside/x y z 200"
    named = front.get("/")
    assert (named.text, named.header("Set-Cookie")) == ("named", "a=1")
    assert front.get("/").status == 404
    assert "unsafe URI" in front.error_log()
    assert front.get("/").header("Content-Type") == "text/css; charset=utf-8"
    missing = front.get("/")
    assert missing.text == "/inside/error  404"
    assert front.get("/").header("WWW-Authenticate") == "Basic"


def test_redirects_and_cookies(proxy, raw_backend) -> None:
    backend = raw_backend(
        answer("HTTP/1.1 302 Found\nContent-Length: 0\nLocation: http://127.0.0.1:{0}/there/x"),
        answer("HTTP/1.1 302 Found\nContent-Length: 0\nRefresh: 5; url=http://127.0.0.1:{0}/there/x"),
        answer("HTTP/1.1 302 Found\nContent-Length: 0\nLocation: http://elsewhere/x"),
        answer("HTTP/1.1 200 OK\nContent-Length: 0\nSet-Cookie: s=1; Domain=.In.test; path=/there/a; HttpOnly"),
    )
    for script in backend.scripts[:3]:
        script[1] = script[1].replace(b"{0}", str(backend.port).encode())
    front = proxy(
        in_server(
            """
            absolute_redirect off;
            location /here/ {
                proxy_pass http://127.0.0.1:{port:back}/there/;
                proxy_redirect default;
                proxy_redirect ~^http://(else)where/(.*) http://$1/$2;
                proxy_cookie_domain in.test out.test;
                proxy_cookie_path ~^/there(.*) /here$1;
                proxy_cookie_flags s secure nohttponly samesite=lax;
            }
            """
        ),
        ports={"back": backend.port},
    )
    assert front.get("/here/").header("Location") == "/here/x"
    assert front.get("/here/").header("Refresh") == "5; url=/here/x"
    assert front.get("/here/").header("Location") == "http://else/x"
    assert front.get("/here/").header("Set-Cookie") == "s=1; Domain=.out.test; path=/here/a; Secure; SameSite=Lax"


def test_head_has_no_body(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", hold])
    front = proxy(SERVER, ports={"back": backend.port})
    got = front.get("/", method="HEAD")
    assert (got.status, got.header("Content-Length"), got.body) == (200, "5", b"")


def test_trailers_and_variables(proxy, raw_backend) -> None:
    backend = raw_backend(
        [
            read_head,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-One: 1\r\nSet-Cookie: c=v; path=/\r\n\r\n",
            b"2\r\nok\r\n",
            pause(0.05),
            b"0\r\nX-Sum: 7\r\n\r\n",
            hold,
        ]
    )
    front = proxy(
        in_http(
            """
            log_format all "$upstream_addr|$upstream_status|$upstream_http_x_one|$upstream_cookie_c|"
                           "$upstream_trailer_x_sum|$upstream_bytes_received|$upstream_response_length|$upstream_response_time";
            access_log access.log all;
            server {
                listen 127.0.0.1:{port:front};
                location / { proxy_pass http://127.0.0.1:{port:back}; proxy_pass_trailers on; }
            }
            """
        ),
        ports={"back": backend.port},
    )
    got = front.get("/")
    assert (got.body, got.header("X-Sum")) == (b"ok", "7")
    front.logged(rf"^127\.0\.0\.1:{backend.port}\|200\|1\|v\|7\|\d+\|\d+\|0\.\d\d\d$")
