"""A balancer in front says who the client is: PROXY protocol and set_real_ip_from on real sockets."""

import socket
import time

import pytest

from harness.raw import RawClient, raw_http

FRONT = """
http {
    log_format who "$remote_addr $realip_remote_addr";
    access_log who.log who;
    server {
        listen 127.0.0.1:{port:front} proxy_protocol;
        set_real_ip_from 127.0.0.0/8;
        location / { return 200 "$remote_addr $proxy_protocol_addr"; }
        location /real { real_ip_header proxy_protocol; try_files /none @real; }
        location @real { return 200 "$remote_addr:$remote_port"; }
    }
}
"""
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"


@pytest.fixture(params=["proxy", "nginx"])
def start(request):
    return request.getfixturevalue(request.param)


def test_a_header_and_two_requests(start) -> None:
    front = start(FRONT)
    get = b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n"
    said = raw_http(front.port(), HEADER + get % (b"/real", b"") + get % (b"/", b"Connection: close\r\n"))
    assert b"192.0.2.1:1234" in said
    assert b"127.0.0.1 192.0.2.1" in said
    front.logged(r"127.0.0.1 127.0.0.1\n", name="who.log")
    assert front.access_log("who.log") == "192.0.2.1 127.0.0.1\n127.0.0.1 127.0.0.1\n"


def test_no_header_is_the_end(start) -> None:
    front = start(FRONT)
    assert raw_http(front.port(), b"GET / HTTP/1.0\r\n\r\n") == b""
    front.logged('broken header: "GET / HTTP/1.0', name="error.log")


def test_a_header_may_come_in_pieces(proxy) -> None:
    front = proxy(FRONT)
    with RawClient(front.port()) as client:
        for piece in (HEADER[:3], HEADER[3:20], HEADER[20:] + b"GET / HTTP/1.0\r\n\r\n"):
            client.send(piece)
            time.sleep(0.05)
        assert b"127.0.0.1 192.0.2.1" in client.recv_all()


def test_before_tls(start, authority) -> None:
    pair = authority.issue("localhost")
    front = start(
        FRONT.replace("proxy_protocol;\n        set", "ssl proxy_protocol;\n        set").replace(
            "    server {", "    ssl_certificate {value:crt}; ssl_certificate_key {value:key};\n    server {"
        ),
        values={"crt": pair.certificate, "key": pair.key},
    )
    with socket.create_connection(("127.0.0.1", front.port()), 5) as sock:
        sock.sendall(HEADER)
        with authority.client_context().wrap_socket(sock, server_hostname="localhost") as tls:
            tls.sendall(b"GET /real HTTP/1.0\r\n\r\n")
            data = b""
            while b"192.0.2.1:1234" not in data:
                more = tls.recv(4096)
                assert more, data
                data += more
