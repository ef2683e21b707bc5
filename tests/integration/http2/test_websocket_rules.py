"""websocket, websocket_origins, the registry and the log, for WebSockets inside of HTTP/2."""

import json

import pytest

from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.waiting import eventually

FRONT = in_http(
    """
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        server_name chat.example;
        http2_extended_connect on;
        location / { websocket auto; websocket_origins same-host; proxy_pass http://127.0.0.1:{port:back}; }
        location /off { websocket off; proxy_pass http://127.0.0.1:{port:back}; }
        location /on { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
        location /gone { websocket auto; proxy_pass http://127.0.0.1:{port:gone}; }
        location /status { status; }
    }
    """
)


@pytest.fixture
def front(proxy, ws_backend, raw_backend):
    from harness.backends import read_head

    gone = raw_backend([read_head, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"])
    return proxy(FRONT, ports={"back": ws_backend.port, "gone": gone.port})


def test_several_tunnels_of_one_connection_are_told_apart(front) -> None:
    with Http2Client(front.port()) as client:
        streams = [client.websocket("/chat", host="chat.example") for _ in range(3)]
        for stream in streams:
            assert client.head(stream).status == 200
            client.say(stream, b"hello")
            assert client.hear(stream) == (1, b"hello")
        listed = json.loads(front.get("/status").text)["tunnels"]["listed"]
        assert len({entry["id"] for entry in listed}) == 3
        assert {entry["messages_in"] for entry in listed} == {1}
        assert {entry["server"] for entry in listed} == {"chat.example"}
    assert eventually(lambda: json.loads(front.get("/status").text)["tunnels"]["open"] == 0)


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/chat", "http://chat.example", 200),
        ("/chat", "https://evil.example", 403),
        ("/off", "http://chat.example", 426),
        ("/gone", "http://chat.example", 403),
    ],
)
def test_the_same_rules_hold(front, path, origin, status) -> None:
    with Http2Client(front.port()) as client:
        stream = client.websocket(path, ("origin", origin), host="chat.example")
        answer = client.head(stream)
        assert answer.status == status
        assert answer.header("upgrade") is None and answer.header("connection") is None
    if path == "/gone":
        front.logged("a WebSocket handshake was answered with 403", name="error.log")


def test_only_handshakes(front) -> None:
    with Http2Client(front.port()) as client:
        answer = client.get("/on")
        assert answer.status == 426 and answer.header("upgrade") is None
