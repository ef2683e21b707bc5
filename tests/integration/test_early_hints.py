"""early_hints: what a backend says before it answers reaches the client, where that is wanted."""

import pytest

from harness.backends import read_head
from harness.proxy import in_server

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Accel-Expires: 1\r\nX-Secret: s\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
SERVER = in_server(
    """
    early_hints $http_x_hints;
    proxy_hide_header X-Secret;
    location / { proxy_pass http://127.0.0.1:{port:back}; }
    location /off { early_hints 0; proxy_pass http://127.0.0.1:{port:back}; }
    """
)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("GET / HTTP/1.1\r\nX-Hints: 1", True),
        ("GET / HTTP/1.1", False),
        ("GET / HTTP/1.1\r\nX-Hints: 0", False),
        ("GET / HTTP/1.0\r\nX-Hints: 1", False),
        ("GET /off HTTP/1.1\r\nX-Hints: 1", False),
    ],
)
def test_hints(proxy, raw_backend, line: str, wanted: bool) -> None:
    front = proxy(SERVER, ports={"back": raw_backend([read_head, HINT + ANSWER]).port})
    with front.client() as client:
        client.send(f"{line}\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = client.recv_all()
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    assert got.startswith(hint) is wanted
    assert got.count(b"103") == wanted and got.endswith(b"\r\n\r\nok")


def test_too_many_are_not_passed_on(proxy, raw_backend) -> None:
    front = proxy(SERVER, ports={"back": raw_backend([read_head, HINT * 100 + ANSWER]).port})
    with front.client() as client:
        client.send("GET / HTTP/1.1\r\nX-Hints: 1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = client.recv_all()
    assert 0 < got.count(b"103 Early") < 100 and got.endswith(b"ok")
