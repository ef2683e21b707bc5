"""Faults of logic that nginx had to mend (docs/security-news.md): the same is tried here."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from harness.backends.http2 import Asked, Http2Backend
from harness.proxy import in_http

SERVERS = """
    server {
        listen 127.0.0.1:{port:front};
        client_max_body_size 64k;
        location /set {
            proxy_http_version 2;
            proxy_set_body "$request_body<$arg_more>";
            proxy_pass http://127.0.0.1:{port:back};
        }
        location /secure { proxy_pass https://127.0.0.1:{port:back}; }
    }
"""

FRAME = bytes([0, 0, 4, 1, 5, 0, 0, 0, 3]) + b"\x82\x86\x84\x41"
"""What a HEADERS frame for another stream looks like."""


def test_a_body_that_is_set_is_one_body_to_an_http2_backend(proxy) -> None:
    """CVE-2026-42926: what a client sends in it is no frame of its own."""

    def answer(asked: Asked) -> None:
        asked.answer(bytes(asked.body))

    with Http2Backend(answer) as backend:
        front = proxy(in_http(SERVERS), ports={"back": backend.port})
        sent = FRAME * 500
        got = front.get("/set?more=x", method="POST", body=sent)
        assert got.body == sent + b"<x>"
        assert len(backend.requests) == 1


@contextmanager
def plain_speaker(words: bytes) -> Iterator[int]:
    """Somebody who sends words before any TLS, whatever is asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(words)
                connection.settimeout(5)
                try:
                    connection.recv(4096)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def test_what_is_said_before_tls_is_no_answer(proxy) -> None:
    """CVE-2026-1642: who sits between the proxy and a backend can not answer in the clear."""
    with plain_speaker(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged") as port:
        front = proxy(in_http(SERVERS), ports={"back": port}, expect=["SSL_do_handshake", "while SSL handshaking"])
        got = front.get("/secure")
        assert got.status == 502 and b"forged" not in got.body
