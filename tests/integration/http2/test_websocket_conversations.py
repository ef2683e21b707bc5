"""Pings, limits, ends and drains of WebSockets that are streams of HTTP/2."""

import signal
import struct

import pytest

from harness.backends import pause, read_until_end, reset
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import CLOSE, PING, PONG, codes, heard, plain, switch

FRONT = in_http(
    """
    log_format ws '$request_uri $websocket_close_code $websocket_close_from $websocket_end_reason';
    access_log access.log ws;
    http2 on;
    websocket_drain 300ms;
    websocket_close_timeout 1s;
    server {
        listen 127.0.0.1:{port:front};
        http2_extended_connect on;
        location / { websocket auto; websocket_ping 200ms timeout=1s; proxy_pass http://127.0.0.1:{port:back}; }
        location /limit { websocket auto; websocket_max_message 10; proxy_pass http://127.0.0.1:{port:back}; }
        location /plain { websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
    }
    """
)


@pytest.fixture
def start(proxy, raw_backend):
    def start(*script):
        backend = raw_backend([switch, *script])
        return proxy(FRONT, ports={"back": backend.port}), backend

    return start


def code(heard: tuple[int, bytes]) -> int:
    assert heard[0] == CLOSE, heard
    return struct.unpack("!H", heard[1][:2])[0]


def test_pings(start) -> None:
    front, backend = start(read_until_end)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/ping")
        assert client.head(stream).status == 200
        for _ in range(3):
            opcode, token = client.hear(stream)
            assert opcode == PING
            client.say(stream, token, PONG)
        assert heard(backend.conversations[0]) == []
        assert client.hear(stream)[0] == PING
        eventually(lambda: codes(heard(backend.conversations[0])) == [1001])
    front.logged(r"^/ping 1001 proxy client_ping_timeout")


def test_limits(start) -> None:
    front, backend = start(read_until_end)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/limit")
        client.say(stream, b"x" * 11)
        assert code(client.hear(stream)) == 1009
        client.say(stream, struct.pack("!H", 1009), CLOSE)
        eventually(lambda: codes(heard(backend.conversations[0])) == [1001])
    front.logged(r"^/limit 1009 proxy message_too_big")


def test_a_backend_that_is_gone(start) -> None:
    front, _ = start(plain(b"hello"), pause(0.2), reset)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/plain")
        assert client.hear(stream) == (2, b"hello")
        assert code(client.hear(stream)) == 1014
        client.say(stream, struct.pack("!H", 1014), CLOSE)
        assert client.get("/limit").status != 0, "the connection lives"
    front.logged(r"(?m)^/plain 1014 proxy backend_lost")


def test_drain(start) -> None:
    front, backend = start(read_until_end)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/plain")
        assert client.head(stream).status == 200
        front.send_signal(signal.SIGQUIT)
        assert code(client.hear(stream)) == 1012
        client.say(stream, struct.pack("!H", 1012), CLOSE)
        eventually(lambda: codes(heard(backend.conversations[0])) == [1012])
    front.logged("drained all", name="error.log")
