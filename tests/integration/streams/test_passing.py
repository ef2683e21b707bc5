"""Streams as clients, backends and logs see them; where there is an nginx with streams, the same is asked of it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends.threads import ThreadedServer
from harness.binary import load_stream, stream_module
from harness.proxy import Proxy
from harness.raw import RawClient
from harness.waiting import eventually

Start = Callable[..., Proxy]

FORMAT = """
    log_format told '$protocol $status $bytes_received $bytes_sent '
                    '$upstream_addr $upstream_bytes_sent $upstream_bytes_received $server_port';
    access_log told.log told;
    proxy_connect_timeout 5s;
"""


class Capitals(ThreadedServer):
    """Says back what it hears in capitals, and "end" when it has heard the end."""

    def __init__(self, last: bytes = b"end", **options: Any) -> None:
        self.last = last
        self.heard: list[bytes] = []
        super().__init__(**options)

    def serve(self, connection: socket.socket, number: int) -> None:
        self.heard.append(b"")
        while data := connection.recv(65536):
            self.heard[-1] += data
            connection.sendall(data.upper())
        connection.sendall(self.last)


@pytest.fixture(params=["proxy", "nginx"])
def start(request: pytest.FixtureRequest) -> Start:
    """Starts what is inside of `stream`, through Penstock and through nginx."""
    if request.param == "nginx" and stream_module() is None:
        pytest.skip("nginx has no module for streams (Debian: libnginx-mod-stream)")
    launch = request.getfixturevalue(request.param)

    def begin(text: str, **options: Any) -> Proxy:
        started: Proxy = launch(f"{load_stream()}\nerror_log error.log info;\nstream {{ {FORMAT} {text} }}", **options)
        return started

    return begin


@pytest.fixture
def backend() -> Iterator[Capitals]:
    with Capitals() as server:
        yield server


def said(front: Proxy, words: bytes, *, half_close: bool = True, port: str | None = None) -> bytes:
    with front.client(port) as client:
        client.send(words)
        first = client.recv_exactly(len(words)) if words else b""
        if half_close:
            client.half_close()
            first += client.recv_all()
    return first


def test_both_ways_and_the_line(start: Start, backend: Capitals) -> None:
    front = start(
        "server { listen 127.0.0.1:{port:front}; proxy_pass 127.0.0.1:{port:back}; }",
        ports={"back": backend.port},
    )
    assert said(front, b"hello") == b"HELLO"
    front.logged(rf"(?m)^TCP 200 5 (5|8) 127.0.0.1:{backend.port} 5 (5|8) {front.port()}\n", name="told.log")


def test_half_closed(start: Start, backend: Capitals) -> None:
    front = start(
        "proxy_half_close on; server { listen 127.0.0.1:{port:front}; proxy_pass 127.0.0.1:{port:back}; }",
        ports={"back": backend.port},
    )
    assert said(front, b"hello") == b"HELLOend"
    front.logged(rf"(?m)^TCP 200 5 8 127.0.0.1:{backend.port} 5 8 {front.port()}\n", name="told.log")


def test_who_speaks_first_is_the_backend(start: Start, raw_backend: Any) -> None:
    back = raw_backend([b"220 ready\r\n", lambda talk: talk.fill()])
    front = start(
        "server { listen 127.0.0.1:{port:front}; proxy_pass 127.0.0.1:{port:back}; }", ports={"back": back.port}
    )
    with front.client() as client:
        assert client.recv_until(b"\r\n") == b"220 ready\r\n"


def test_another_server_of_a_group_where_one_refuses(start: Start, backend: Capitals) -> None:
    front = start(
        """
        upstream group { server 127.0.0.1:{port:dead}; server 127.0.0.1:{port:back}; }
        server { listen 127.0.0.1:{port:front}; proxy_pass group; }
        server { listen 127.0.0.1:{port:once}; proxy_pass group; proxy_next_upstream off; }
        """,
        ports={"back": backend.port},
    )
    assert said(front, b"hello", port="front") == b"HELLO"
    dead = front.port("dead")
    front.logged(rf"(?m)^TCP 200 5 \d 127.0.0.1:{dead}, 127.0.0.1:{backend.port} 0, 5 0, \d ", name="told.log")


def test_nobody_there(start: Start) -> None:
    front = start("server { listen 127.0.0.1:{port:front}; proxy_pass 127.0.0.1:{port:dead}; }")
    with front.client() as client:
        assert client.closed()
    front.logged(rf"(?m)^TCP 502 0 0 127.0.0.1:{front.port('dead')} 0 0 ", name="told.log")
    front.logged(r"connect\(\) failed \(111: Connection refused\)", name="error.log")


def test_silence_ends_it(start: Start, raw_backend: Any) -> None:
    back = raw_backend([lambda talk: talk.fill() and talk.fill()])
    front = start(
        "proxy_timeout 300ms; server { listen 127.0.0.1:{port:front}; proxy_pass 127.0.0.1:{port:back}; }",
        ports={"back": back.port},
    )
    with front.client() as client:
        client.send(b"one word")
        assert client.closed()
    front.logged(r"(?m)^TCP 200 8 0 ", name="told.log")


def test_variables_lead_to_a_group(start: Start, backend: Capitals) -> None:
    with Capitals(b"other") as other:
        front = start(
            """
            map $server_port $where { {port:front} first; default 127.0.0.1:{port:other}; }
            upstream first { server 127.0.0.1:{port:back}; }
            proxy_half_close on;
            server { listen 127.0.0.1:{port:front}; listen 127.0.0.1:{port:second}; proxy_pass $where; }
            """,
            ports={"back": backend.port, "other": other.port},
        )
        assert said(front, b"a", port="front") == b"Aend"
        assert said(front, b"a", port="second") == b"Aother"


def test_texts_and_what_is_set(start: Start) -> None:
    front = start(
        """
        geo $near { default far; 127.0.0.0/8 near; }
        split_clients $remote_addr $share { 100% all; }
        server {
            listen 127.0.0.1:{port:front};
            set $word "$near-$share";
            return "$word $remote_addr $server_addr:$server_port $protocol";
        }
        """
    )
    with front.client() as client:
        assert client.recv_all() == f"near-all 127.0.0.1 127.0.0.1:{front.port()} TCP".encode()
    front.logged(r"(?m)^TCP 200 0 \d+ - - - ", name="told.log")


def test_who_may_not(start: Start, backend: Capitals) -> None:
    front = start(
        """
        server { listen 127.0.0.1:{port:front}; deny 127.0.0.1; allow all; proxy_pass 127.0.0.1:{port:back}; }
        """,
        ports={"back": backend.port},
    )
    with front.client() as client:
        assert client.closed()
    front.logged(r"(?m)^TCP 403 0 0 - ", name="told.log")
    front.logged("access forbidden by rule", name="error.log")
    assert backend.connections == 0


def test_as_many_as_are_allowed(start: Start, backend: Capitals) -> None:
    front = start(
        """
        limit_conn_zone $binary_remote_addr zone=one:32k;
        limit_conn one 1;
        server { listen 127.0.0.1:{port:front}; proxy_pass 127.0.0.1:{port:back}; }
        """,
        ports={"back": backend.port},
    )
    with front.client() as first:
        first.send(b"a").recv_exactly(1)
        with front.client() as second:
            assert second.closed()
        front.logged(r"(?m)^TCP 503 ", name="told.log")
    front.logged(r"(?m)^TCP 200 1 ", name="told.log")
    with front.client() as third:
        third.send(b"b")
        assert third.recv_exactly(1) == b"B"


def test_a_balancer_in_front_says_who_comes(start: Start) -> None:
    front = start(
        """
        server {
            listen 127.0.0.1:{port:front} proxy_protocol;
            set_real_ip_from 127.0.0.1;
            allow 192.0.2.1; deny all;
            return "$remote_addr:$remote_port $realip_remote_addr $proxy_protocol_server_port";
        }
        """
    )
    with front.client() as client:
        client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n")
        assert client.recv_all() == b"192.0.2.1:1234 127.0.0.1 80"
    with front.client() as client:
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.2 1234 80\r\n")
        assert client.closed()
    front.logged(r"(?m)^TCP 403 ", name="told.log")
    with front.client() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.closed()
    front.logged(r"(?m)^TCP 400 ", name="told.log")


def test_the_backend_is_told_who_comes(start: Start, backend: Capitals) -> None:
    front = start(
        """
        server {
            listen 127.0.0.1:{port:front} proxy_protocol;
            set_real_ip_from 127.0.0.1;
            proxy_protocol on;
            proxy_pass 127.0.0.1:{port:back};
        }
        """,
        ports={"back": backend.port},
    )
    with front.client() as client:
        client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\nhello")
        client.recv_until(b"HELLO")
    assert backend.heard == [f"PROXY TCP4 192.0.2.1 127.0.0.1 1234 {front.port()}\r\nhello".encode()]


def test_so_fast_and_no_faster(start: Start, raw_backend: Any) -> None:
    back = raw_backend([b"x" * 3000, lambda talk: talk.fill()])
    front = start(
        """
        server { listen 127.0.0.1:{port:front}; proxy_download_rate 1000; proxy_pass 127.0.0.1:{port:back}; }
        """,
        ports={"back": back.port},
    )
    with front.client() as client:
        assert client.recv_exactly(1000)
        client.socket.settimeout(0.4)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        assert len(client.recv_exactly(2000)) == 2000


# TLS


@pytest.fixture
def certificates(authority: Any) -> dict[str, Path]:
    pair = authority.issue("a.example", "b.example")
    return {"crt": pair.certificate, "key": pair.key, "ca": authority.certificate}


def trusting(authority: Any, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def test_tls_ends_here(start: Start, backend: Capitals, authority: Any, certificates: dict[str, Path]) -> None:
    front = start(
        """
        ssl_certificate {value:crt}; ssl_certificate_key {value:key};
        log_format tls '$ssl_protocol $ssl_server_name $ssl_session_reused';
        proxy_half_close on;
        server { listen 127.0.0.1:{port:front} ssl; access_log tls.log tls; proxy_pass 127.0.0.1:{port:back}; }
        """,
        ports={"back": backend.port},
        values=certificates,
    )
    with RawClient(front.port(), tls=trusting(authority), name="a.example") as client:
        assert client.send(b"hello").recv_exactly(5) == b"HELLO"
        big = b"y" * 30_000
        for _ in range(10):  # by turns: one thread at a time may use a TLS socket
            assert client.send(big).recv_exactly(len(big)) == big.upper()
    front.logged(r"(?m)^TLSv1\.[23] a\.example \.\n", name="tls.log")
    with front.client() as plain:
        plain.send(b"hello?\r\n\r\n")
        assert plain.closed()
    assert backend.connections == 1


def test_tls_to_backends(start: Start, authority: Any, certificates: dict[str, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["crt"], certificates["key"])
    with Capitals(tls=context) as back:
        front = start(
            """
            proxy_ssl on; proxy_ssl_trusted_certificate {value:ca}; proxy_ssl_verify on;
            server {
                listen 127.0.0.1:{port:front};
                proxy_ssl_name a.example; proxy_pass 127.0.0.1:{port:back};
            }
            server {
                listen 127.0.0.1:{port:wrong};
                proxy_ssl_name c.example; proxy_pass 127.0.0.1:{port:back};
            }
            """,
            ports={"back": back.port},
            values=certificates,
        )
        assert said(front, b"hello", half_close=False) == b"HELLO"
        with front.client("wrong") as client:
            client.send(b"x")
            assert client.closed()
        front.logged(r"(?m)^TCP 502 ", name="told.log")
        front.logged(r'upstream SSL certificate does not match "c.example"', name="error.log")


def test_a_look_at_what_is_asked_for(
    start: Start, authority: Any, certificates: dict[str, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["crt"], certificates["key"])
    with Capitals(b"", tls=context) as first, Capitals(b"plain") as second:
        front = start(
            """
            log_format seen '$ssl_preread_server_name|$ssl_preread_alpn_protocols|$ssl_preread_protocol';
            map $ssl_preread_server_name $there { a.example 127.0.0.1:{port:first}; default 127.0.0.1:{port:second}; }
            preread_timeout 5s;
            server {
                listen 127.0.0.1:{port:front}; ssl_preread on; proxy_half_close on;
                access_log seen.log seen; proxy_pass $there;
            }
            """,
            ports={"first": first.port, "second": second.port},
        )
        with RawClient(front.port(), tls=trusting(authority, "h2", "mqtt"), name="a.example") as client:
            assert client.send(b"hello").recv_exactly(5) == b"HELLO"
        front.logged(r"(?m)^a\.example\|h2,mqtt\|TLSv1\.3\n", name="seen.log")
        assert said(front, b"SSH-2.0-x\r\n") == b"SSH-2.0-X\r\nplain"
        front.logged(r"(?m)^-\|-\|-\n", name="seen.log")


def test_a_hello_that_drips_or_never_ends(start: Start, backend: Capitals) -> None:
    front = start(
        """
        server {
            listen 127.0.0.1:{port:front}; ssl_preread on; preread_buffer_size 1k; preread_timeout 300ms;
            proxy_pass 127.0.0.1:{port:back};
        }
        """,
        ports={"back": backend.port},
    )
    with front.client() as client:
        client.send(b"\x16\x03\x01\x20\x00\x01" + bytes(4000))
        assert client.closed()
    front.logged(r"(?m)^TCP 400 ", name="told.log")
    with front.client() as client:
        client.send(b"\x16\x03\x01\x00\x80\x01")
        assert client.closed()
    front.logged(r"(?m)^TCP 200 0 0 - ", name="told.log")
    assert backend.connections == 0


def test_files_are_opened_again(start: Start, backend: Capitals) -> None:
    """A line goes to the file whose name is known when the session is over."""
    front = start(
        """
        server {
            listen 127.0.0.1:{port:front}; access_log by-$bytes_received.log told; proxy_pass 127.0.0.1:{port:back};
        }
        """,
        ports={"back": backend.port},
    )
    assert said(front, b"hello", half_close=False) == b"HELLO"
    assert eventually(lambda: front.access_log("by-5.log")).startswith("TCP 200 5 5 ")
