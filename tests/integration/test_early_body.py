"""client_body_early_read: what a body says decides where its request goes."""

from typing import Any

CONF = """
    http {
        map $request_body $place { default other; ~secret private; }
        client_max_body_size 100k;
        client_body_buffer_size 64k;
        server {
            listen 127.0.0.1:{port:front};
            client_body_early_read $arg_early;
            rewrite ^ /$place;
            location / { return 200 $uri; }
            location /private { proxy_pass http://127.0.0.1:{port:api}; }
        }
    }
    """


def test_a_body_decides(proxy: Any, http_backend: Any) -> None:
    front = proxy(CONF, ports={"api": http_backend.port})
    assert front.get("/?early=0", method="POST", body=b"secret").text == "/other"
    assert front.get("/?early=1", method="POST", body=b"plain").text == "/other"
    assert front.get("/?early=1").text == "/other"
    front.get("/?early=1", method="POST", body=b"a secret")
    assert http_backend.requests[-1].body == b"a secret"
    with front.client(timeout=10) as client:
        client.send("POST /?early=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        client.send("6\r\nsecret\r\n0\r\n\r\n")
        assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert http_backend.requests[-1].body == b"secret"
    assert front.get("/?early=1", method="POST", body=b"x" * 200_000).status == 413
    assert front.get("/?early=1", method="POST", body=b"x" * 90_000).text == "/other"
