"""What is worked out for each server that a request is tried at: whether it may be asked, from where, and how."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from harness.backends import HttpEcho, RawBackend, hold, read_head
from harness.backends.fastcgi import FastCgiBackend, says
from harness.backends.http2 import Asked, Http2Backend
from harness.backends.scripted import Conversation
from harness.certs import Authority
from harness.ports import free_port
from harness.proxy import in_http
from harness.waiting import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

ALLOWED = in_http(
    """
    log_format tried "$request_uri $status [$upstream_addr] [$upstream_status] "
                     "[$upstream_last_addr] [$upstream_last_server_name]";
    access_log access.log tried;
    map $upstream_last_addr $inside { volatile; ~^/ 1; default 0; }
    upstream both { server 127.0.0.1:{port:back} max_fails=0; server unix:{value:socket} backup; }
    upstream kept { server 127.0.0.1:{port:back} max_fails=0; keepalive 4; }
    server {
        listen 127.0.0.1:{port:front};
        location /next { proxy_pass http://both; proxy_allow_upstream $inside; proxy_next_upstream denied; }
        location /not-next { proxy_pass http://both; proxy_allow_upstream $inside; }
        location /asked { proxy_pass http://kept; proxy_allow_upstream $arg_first $arg_second; }
        location /named { proxy_pass http://$arg_to; proxy_allow_upstream $arg_first; }
        location /page { proxy_pass http://kept; proxy_allow_upstream 0; error_page 502 =200 /found; }
        location /found { return 200 found; }
        location /inherited { proxy_allow_upstream 1; proxy_pass http://kept; }
        proxy_allow_upstream 0;
    }
    """
)


@pytest.fixture
def outer() -> HttpEcho:
    with HttpEcho("outer") as server:
        yield server


def test_who_may_be_asked(proxy, outer, tmp_path: Path) -> None:
    path = tmp_path / "inner.sock"
    with HttpEcho("inner", path=path) as inner:
        front = proxy(ALLOWED, ports={"back": outer.port}, values={"socket": str(path)})
        assert json.loads(front.get("/next").text)["name"] == "inner"
        front.logged(
            rf"/next 200 \[127.0.0.1:{outer.port}, unix:{path}\] \[502, 200\] \[{path}\] \[unix:{path}\]"
        )
        assert front.get("/not-next").status == 502
        front.logged(rf"/not-next 502 \[127.0.0.1:{outer.port}\] \[502\] \[127.0.0.1\] \[127.0.0.1:{outer.port}\]")
        front.logged(r'access to upstream denied by "\$inside" while connecting to upstream', name="error.log")
        assert (outer.connections, inner.connections) == (0, 1)


def test_a_kept_connection_is_none_that_is_allowed(proxy, outer) -> None:
    front = proxy(ALLOWED, ports={"back": outer.port}, values={"socket": "/nowhere"})
    assert front.get("/asked?first=1&second=yes").status == 200
    for query in ("first=0&second=1", "first=1&second=0", "first=1", "second=1", ""):
        assert front.get(f"/asked?{query}").status == 502
    assert front.get("/asked?first=1&second=yes").status == 200
    assert len(outer.requests) == 2
    assert front.get("/inherited").status == 200
    assert front.get("/page").text == "found"
    assert front.get(f"/named?to=127.0.0.1:{outer.port}&first=0").status == 502
    assert front.get(f"/named?to=127.0.0.1:{outer.port}&first=1").status == 200
    front.logged(r"first=1 200 .* \[127.0.0.1\] \[127.0.0.1\]")


def test_a_handshake_is_not_sent_either(proxy, outer) -> None:
    front = proxy(
        in_http(
            """
            server {
                listen 127.0.0.1:{port:front};
                location / { proxy_pass http://127.0.0.1:{port:back}; websocket auto; proxy_allow_upstream 0; }
            }
            """
        ),
        ports={"back": outer.port},
    )
    upgrade = {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    assert front.get("/", headers=upgrade).status == 502
    assert outer.connections == 0


@pytest.mark.parametrize("family", ["proxy", "fastcgi", "uwsgi", "scgi", "grpc", "memcached", "tunnel"])
def test_every_family_asks(proxy, raw_backend, family: str) -> None:
    backend = raw_backend([hold])
    scheme = "http://" if family == "proxy" else ""
    front = proxy(
        in_http(
            f"""
            server {{
                listen 127.0.0.1:{{port:front}};
                {family}_allow_upstream $http_x_let 1;
                location / {{ set $memcached_key a; {family}_pass {scheme}127.0.0.1:{{port:back}}; }}
            }}
            """
        ),
        ports={"back": backend.port},
    )
    method = "CONNECT" if family == "tunnel" else "GET"
    target = f"127.0.0.1:{backend.port}" if family == "tunnel" else "/"
    with front.client() as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: {target.strip('/') or 'a'}\r\nX-Let: 0\r\n\r\n")
        assert client.response().status == 502
    front.logged('denied by "\\$http_x_let"', name="error.log")
    assert backend.connections == 0
    with front.client() as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: {target.strip('/') or 'a'}\r\nX-Let: 1\r\n\r\n")
        eventually(lambda: backend.connections == 1)


class Whence:
    """Who connected, on each connection."""

    def __init__(self) -> None:
        self.hosts: list[str] = []

    def note(self, talk: Conversation) -> None:
        self.hosts.append(talk.socket.getpeername()[0])


def test_the_address_to_connect_from(proxy, raw_backend) -> None:
    first, second = Whence(), Whence()
    one = raw_backend([first.note, read_head, BUSY])
    two = raw_backend([second.note, read_head, OK])
    front = proxy(
        in_http(
            """
            map $upstream_last_server_name $from {
                volatile;
                127.0.0.1:{port:one} 127.0.0.2;
                localhost:{port:two} 127.0.0.3;
                default 127.0.0.9;
            }
            upstream both { server 127.0.0.1:{port:one} max_fails=0; server localhost:{port:two} backup; }
            server {
                listen 127.0.0.1:{port:front};
                proxy_bind $from;
                proxy_next_upstream http_503;
                location /each { proxy_pass http://both; proxy_bind_dynamic on; }
                location /once { proxy_pass http://both; }
                location /off { proxy_pass http://both; proxy_bind_dynamic on; proxy_bind off; }
            }
            """
        ),
        ports={"one": one.port, "two": two.port},
    )
    for path, expected in (
        ("/each", ("127.0.0.2", "127.0.0.3")),
        ("/once", ("127.0.0.9", "127.0.0.9")),
        ("/off", ("127.0.0.1", "127.0.0.1")),
    ):
        assert front.get(path).text == "ok"
        assert (first.hosts[-1], second.hosts[-1]) == expected


def test_a_request_for_each_server(proxy, raw_backend) -> None:
    one = raw_backend([read_head, BUSY])
    two = raw_backend([read_head, OK])
    front = proxy(
        in_http(
            """
            upstream both { server 127.0.0.1:{port:one} max_fails=0; server localhost:{port:two} backup; }
            server {
                listen 127.0.0.1:{port:front};
                proxy_next_upstream http_503 non_idempotent;
                proxy_set_header Host $upstream_last_server_name;
                proxy_set_header X-Addr $upstream_last_addr;
                location /each { proxy_pass http://both; proxy_request_dynamic on; }
                location /once { proxy_pass http://both; proxy_set_header X-Name [$upstream_last_server_name]; }
                location /body {
                    proxy_pass http://both;
                    proxy_request_dynamic on;
                    proxy_set_body "for $upstream_last_server_name";
                }
            }
            """
        ),
        ports={"one": one.port, "two": two.port},
    )
    assert front.get("/each").text == "ok"
    assert f"\r\nHost: 127.0.0.1:{one.port}\r\nX-Addr: 127.0.0.1\r\n".encode() in one.conversations[0].received
    assert f"\r\nHost: localhost:{two.port}\r\nX-Addr: 127.0.0.1\r\n".encode() in two.conversations[0].received
    assert front.get("/once").text == "ok"
    assert b"\r\nX-Name: []\r\n" in one.conversations[1].received
    assert b"\r\nX-Name: []\r\n" in two.conversations[1].received
    assert front.get("/body", method="POST", body=b"of the client").text == "ok"
    for backend, name in ((one, f"127.0.0.1:{one.port}"), (two, f"localhost:{two.port}")):
        body = f"for {name}".encode()
        got = backend.conversations[2].received
        assert got.endswith(b"\r\n\r\n" + body) and b"Content-Length: %d\r\n" % len(body) in got


def test_a_body_of_the_client_goes_with_each(proxy, raw_backend) -> None:
    one = raw_backend([read_head, BUSY])
    two = raw_backend([read_head, OK])
    front = proxy(
        in_http(
            """
            upstream both { server 127.0.0.1:{port:one} max_fails=0; server localhost:{port:two} backup; }
            server {
                listen 127.0.0.1:{port:front};
                location / {
                    proxy_pass http://both;
                    proxy_request_dynamic on;
                    proxy_next_upstream http_503;
                    proxy_set_header Host $upstream_last_server_name;
                }
            }
            """
        ),
        ports={"one": one.port, "two": two.port},
    )
    assert front.get("/", method="PUT", body=b"a body").text == "ok"
    for backend in (one, two):
        got = backend.conversations[0].received
        assert got.endswith(b"\r\n\r\na body") and b"Content-Length: 6\r\n" in got


def test_fastcgi_parameters_for_each_server(proxy) -> None:
    with FastCgiBackend(lambda request: says("Status: 503 Busy\r\n\r\n")) as one, FastCgiBackend() as two:
        front = proxy(
            in_http(
                """
                upstream both { server 127.0.0.1:{port:one} max_fails=0; server localhost:{port:two} backup; }
                server {
                    listen 127.0.0.1:{port:front};
                    location / {
                        fastcgi_pass both;
                        fastcgi_request_dynamic on;
                        fastcgi_next_upstream http_503;
                        fastcgi_param SERVER $upstream_last_server_name;
                    }
                }
                """
            ),
            ports={"one": one.port, "two": two.port},
        )
        assert json.loads(front.get("/").text)["SERVER"] == f"localhost:{two.port}"
        assert one.requests[0].params["SERVER"] == f"127.0.0.1:{one.port}"


@pytest.mark.parametrize("passing", ["proxy_http_version 2; proxy_pass http://both;", "grpc_pass both;"])
def test_http2_requests_for_each_server(proxy, passing: str) -> None:
    prefix = passing.partition("_")[0]

    def busy(asked: Asked) -> None:
        asked.answer(status=503)

    def fine(asked: Asked) -> None:
        asked.answer(b"ok")

    with Http2Backend(busy) as one, Http2Backend(fine) as two:
        front = proxy(
            in_http(
                f"""
                upstream both {{ server 127.0.0.1:{{port:one}} max_fails=0; server localhost:{{port:two}} backup; }}
                server {{
                    listen 127.0.0.1:{{port:front}};
                    location / {{
                        {passing}
                        {prefix}_request_dynamic on;
                        {prefix}_next_upstream http_503 non_idempotent;
                        {prefix}_set_header X-Name $upstream_last_server_name;
                    }}
                }}
                """
            ),
            ports={"one": one.port, "two": two.port},
        )
        for _ in range(2):
            assert front.get("/").text == "ok"
        assert [each.field("x-name") for each in one.requests] == [f"127.0.0.1:{one.port}"] * 2
        assert [each.field("x-name") for each in two.requests] == [f"localhost:{two.port}"] * 2


def test_rules_for_websockets_are_asked_for_each_request(proxy, raw_backend) -> None:
    """A header that makes a handshake of a request may depend on the server, too."""
    one = raw_backend([read_head, BUSY])
    two = raw_backend([read_head, OK])
    front = proxy(
        in_http(
            """
            map $upstream_last_server_name $upgrade { volatile; localhost:{port:two} websocket; default ""; }
            upstream both { server 127.0.0.1:{port:one} max_fails=0; server localhost:{port:two} backup; }
            server {
                listen 127.0.0.1:{port:front};
                location / {
                    proxy_pass http://both;
                    proxy_request_dynamic on;
                    proxy_next_upstream http_503;
                    websocket off;
                    proxy_set_header Upgrade $upgrade;
                    proxy_set_header Connection upgrade;
                }
            }
            """
        ),
        ports={"one": one.port, "two": two.port},
    )
    assert front.get("/").status == 426
    assert (one.connections, two.connections) == (1, 0)


def test_the_name_of_a_certificate_may_be_that_of_the_server(proxy, tmp_path: Path, authority: Authority) -> None:
    names: list[str | None] = []
    context = authority.server_context(authority.issue("localhost"))
    context.sni_callback = lambda connection, name, _: names.append(name)
    with HttpEcho("secure", tls=context) as backend:
        front = proxy(
            in_http(
                """
                upstream named { server localhost:{port:back}; }
                server {
                    listen 127.0.0.1:{port:front};
                    location / {
                        proxy_pass https://named;
                        proxy_ssl_server_name on;
                        proxy_ssl_name $upstream_last_server_name;
                        proxy_ssl_verify on;
                        proxy_ssl_trusted_certificate {value:ca};
                    }
                }
                """
            ),
            ports={"back": backend.port},
            values={"ca": str(authority.certificate)},
        )
        assert json.loads(front.get("/").text)["name"] == "secure"
        assert names == ["localhost"]


def test_streams_connect_from_where_the_server_says(proxy, raw_backend) -> None:
    whence = Whence()
    backend = raw_backend([whence.note, b"hello"])
    front = proxy(
        """
        events { }
        stream {
            log_format tried "[$upstream_addr] [$upstream_last_addr]";
            access_log access.log tried;
            map $upstream_last_addr $from { volatile; 127.0.0.1 127.0.0.4; default 127.0.0.9; }
            upstream both { server 127.0.0.1:{port:dead}; server 127.0.0.1:{port:back} backup; }
            server { listen 127.0.0.1:{port:front}; proxy_pass both; proxy_bind $from; proxy_bind_dynamic on; }
        }
        """,
        ports={"back": backend.port, "dead": free_port()},
    )
    with socket.create_connection(("127.0.0.1", front.port("front")), timeout=10) as client:
        assert client.recv(5) == b"hello"
    eventually(lambda: whence.hosts == ["127.0.0.4"])
    front.logged(rf"\[127.0.0.1:\d+, 127.0.0.1:{backend.port}\] \[127.0.0.1\]")


def test_an_event_stream_that_goes_on_asks_again(proxy) -> None:
    """A redial is tried at servers, too."""
    gone = threading.Event()
    event = b"id: 1\ndata: one\n\n"
    first = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    first += b"%x\r\n%b\r\n" % (len(event), event)
    script = [read_head, first, lambda talk: gone.wait(30)]
    with RawBackend(script) as backend:
        front = proxy(
            in_http(
                """
                upstream one { server 127.0.0.1:{port:back} max_fails=0; }
                server {
                    listen 127.0.0.1:{port:front};
                    location / {
                        proxy_pass http://one;
                        event_stream_redial 5s;
                        proxy_allow_upstream $allowed;
                    }
                }
                map $event_stream_last_id $allowed { volatile; "" 1; default 0; }
                """
            ),
            ports={"back": backend.port},
        )
        with front.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
            client.recv_until(b"data: one\n\n")
            gone.set()
            front.logged('denied by "\\$allowed"', name="error.log")
        assert backend.connections == 1
