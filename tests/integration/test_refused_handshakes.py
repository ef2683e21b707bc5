"""What the log says of handshakes that a backend refuses, and of tunnels that end alike."""

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import WebSocketEcho, read_head
from harness.proxy import in_http

SAYS = "a WebSocket handshake was answered with "

FRONT = in_http(
    """
    proxy_http_version 1.1;
    server {
        listen 127.0.0.1:{port:front};
        location / { websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
        location /app/ { websocket auto; proxy_pass http://127.0.0.1:{port:back}/; }
        location /lost { proxy_pass http://127.0.0.1:{port:back}; }
        location /half { proxy_pass http://127.0.0.1:{port:back}; proxy_set_header Upgrade $http_upgrade; }
        location /own { websocket auto; return 404; }
    }
    """
)
PLAIN = b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"


def answer(status: bytes, body: bytes = b"no") -> bytes:
    return PLAIN % (status, len(body), body)


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Origin": "https://chat.example",
}


def attempt(front, path: str) -> int:
    return front.get(path, HANDSHAKE).status


@pytest.mark.parametrize(
    ("path", "said", "words"),
    [
        ("/", answer(b"403 Forbidden", b"request origin not allowed by CheckOrigin"), "refuses the Origin; pass"),
        ("/", answer(b"403 Forbidden"), '403 "no", not 101: Origin https://chat.example does not match Host 127'),
        ("/app/ws", answer(b"404 Not Found"), "asked for /app/ws and the backend was asked for /ws; a URI in"),
        ("/", answer(b"301 Moved").replace(b"Content-T", b"Location: /login\r\nContent-T"), "301 to /login, not 101"),
        ("/half", answer(b"426 Upgrade Required"), "arrived without Connection: upgrade"),
        ("/", answer(b"400 Bad", b'{"code":1,"message":"Session ID unknown"}'), "ip_hash"),
    ],
)
def test_one_line_says_what_was_said_and_why(proxy, raw_backend, path, said, words) -> None:
    front = proxy(FRONT, ports={"back": raw_backend([read_head, said]).port})
    for _ in range(3):
        assert attempt(front, path) == int(said[9:12])
    assert words in front.logged(f"{SAYS}.*", name="error.log")[0]
    assert front.error_log().count(SAYS) == 1, "once a minute is enough"
    assert ", upstream: " in front.logged(f"{SAYS}.*", name="error.log")[0]


def test_a_hint_is_given_once_by_all_workers_and_stays_given_over_a_reload(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, answer(b"403 Forbidden")])
    text = "worker_processes 3;\n" + FRONT.replace("{port:front};", "{port:front} reuseport;")
    front = proxy(text, ports={"back": backend.port})
    for _ in range(2):
        for _ in range(20):
            assert attempt(front, "/") == attempt(front, "/lost") == 403
        front.reload(text + "# changed\n")
    front.logged(SAYS, name="error.log")
    assert front.error_log().count(SAYS) == 1
    assert front.error_log().count("passed on without its Upgrade header") == 1


def test_what_was_explained_before_is_not_said_twice(proxy, raw_backend) -> None:
    front = proxy(FRONT, ports={"back": raw_backend([read_head, answer(b"400 Bad Request")]).port})
    assert attempt(front, "/lost") == 400
    front.logged("passed on without its Upgrade header.*websocket auto", name="error.log")
    assert attempt(front, "/own") == 404
    assert front.get("/lost").status == 400
    assert SAYS not in front.error_log()


def test_tunnels_that_end_alike_are_said_once(proxy) -> None:
    with WebSocketEcho() as backend:
        front = proxy(
            in_http(
                """
                server {
                    listen 127.0.0.1:{port:front};
                    websocket auto;
                    location /quiet { proxy_read_timeout 300ms; proxy_pass http://127.0.0.1:{port:back}; }
                }
                """
            ),
            ports={"back": backend.port},
        )
        clients = [connect(front.url("/quiet", "ws"), proxy=None) for _ in range(12)]
        for client in clients:
            with client, pytest.raises(ConnectionClosed):
                client.recv(20)
        line = front.logged(r"1\d tunnels of location /quiet .* either side for 0.3 s; .*", name="error.log")[0]
        assert "websocket_ping" in line
        assert front.error_log().count("tunnels of location") == 1
