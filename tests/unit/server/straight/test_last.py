"""The last answer of a connection: whole where the client takes it at once, and all of it where it does not."""

from __future__ import annotations

import pytest

from harness.backends import read_head

SITE = """
    http {
        upstream back { server 127.0.0.1:{port:back}; }
        server {
            listen 127.0.0.1:{port:front} sndbuf=4k;
            location / { proxy_pass http://back; proxy_buffer_size 64k; proxy_buffers 8 64k; }
        }
    }
    """


@pytest.mark.parametrize("size", [2, 60000])
def test_it_comes_whole_and_then_the_end(proxy, raw_backend, size: int) -> None:
    body = b"x" * size
    backend = raw_backend([read_head, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body])
    front = proxy(SITE, ports={"back": backend.port})
    with front.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = client.response()
        assert (answer.status, answer.body, answer.header("connection")) == (200, body, "close")
        assert client.closed()
    front.logged(rf'"GET / HTTP/1.1" 200 {size} ')
