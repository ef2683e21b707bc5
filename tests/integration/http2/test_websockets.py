"""WebSockets inside of HTTP/2 (RFC 8441): the same routing, rules and logs as over HTTP/1.1, on streams."""

import threading

import pytest

from harness.backends import hold, read_head, read_until_end, reset
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.waiting import eventually
from penstock.websocket.handshake import accept_key, is_key

CONFIGURATION = in_http(
    """
    log_format ws "$request_method [$request] $status $server_protocol $http2 $upstream_status $bytes_sent";
    access_log access.log ws;
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        location / { proxy_pass http://127.0.0.1:{port:back}; }
        location /easy { proxy_set_header Upgrade ""; websocket on; proxy_pass http://127.0.0.1:{port:back}; }
        location /closed { deny all; proxy_pass http://127.0.0.1:{port:back}; }
        location /lost { proxy_set_header Upgrade ""; proxy_pass http://127.0.0.1:{port:back}; }
        location /over {
            proxy_set_header Upgrade "";
            proxy_http_version 2;
            websocket on;
            proxy_pass http://127.0.0.1:{port:between};
        }
        location /text { return 200 text; }
        location /idle { proxy_read_timeout 300ms; proxy_pass http://127.0.0.1:{port:back}; }
        location /narrow { proxy_socket_sndbuf 16k; proxy_pass http://127.0.0.1:{port:back}; }
        location /file { root www; }
    }
    server {
        listen 127.0.0.1:{port:between};
        access_log off;
        location / { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
    }
    """
)


def start(proxy, backend, text: str = CONFIGURATION, **more):
    return proxy(text, ports={"back": backend.port}, **more)


def switch(talk) -> None:
    """Answer the handshake that came, by its key."""
    read_head(talk)
    head = talk.received.decode("latin-1").lower()
    original = talk.received.decode("latin-1")
    at = head.index("sec-websocket-key:") + len("sec-websocket-key:")
    key = original[at : original.index("\r\n", at)].strip()
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
        "Sec-WebSocket-Protocol: chat",
        "X-Backend: b",
    )
    talk.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


@pytest.mark.parametrize("path", ["/chat?a=1", "/easy"])
def test_an_echo(proxy, ws_backend, path: str) -> None:
    front = start(proxy, ws_backend)
    with Http2Client(front.port()) as client:
        stream = client.websocket(path)
        assert client.settings[8] == 1
        assert client.streams[stream].status == 200
        for text in (b"one", b"two" * 1000, b"x" * 200000):
            client.say(stream, text)
            assert client.hear(stream) == (1, text)
        client.say(stream, (1000).to_bytes(2, "big"), opcode=8)
        assert client.hear(stream)[0] == 8
        client.send(stream, b"", ended=True)
        assert client.read(stream).ended
        assert client.websocket(path) != stream, "and again on the same connection"
    name = path.replace("?", r"\?")
    front.logged(rf"GET \[CONNECT {name} HTTP/2.0\] 200 HTTP/2.0 h2c 101 \d+")


def test_what_the_backend_sees_and_the_client_gets(proxy, raw_backend) -> None:
    backend = raw_backend([switch, read_until_end])
    front = start(proxy, backend)
    with Http2Client(front.port()) as client:
        stream = client.websocket(
            "/chat", ("sec-websocket-protocol", "chat"), ("origin", "http://a.test"), ("sec-websocket-key", "mine")
        )
        answered = client.streams[stream]
        assert (answered.status, answered.header("sec-websocket-protocol")) == (200, "chat")
        assert answered.header("x-backend") == "b"
        assert answered.header("sec-websocket-accept") == accept_key("mine")
        for name in ("upgrade", "connection", "content-length"):
            assert answered.header(name) is None
    head = backend.conversations[0].received.decode("latin-1").lower()
    assert head.startswith("get /chat http/1.1\r\n")
    assert head.count("sec-websocket-key:") == 1 and "sec-websocket-key: mine" not in head
    for line in ("upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-protocol: chat", "origin: http://a"):
        assert line in head
    assert ":protocol" not in head and "connect" not in head.partition("connection: upgrade")[0]


KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize("path", ["/", "/easy", "/over"])
@pytest.mark.parametrize("keys", [[KEY], ["mine"], [], [""]])
def test_a_client_that_sends_a_key_gets_its_answer(proxy, ws_backend, path: str, keys: list[str]) -> None:
    """RFC 8441 has no use for it, but there are clients that hold an answer against it."""
    front = start(proxy, ws_backend)
    with Http2Client(front.port()) as client:
        stream = client.websocket(path, *(("sec-websocket-key", key) for key in keys))
        answered = client.streams[stream]
        assert answered.status == 200
        expected = [accept_key(key) for key in keys if key]
        assert [value for name, value in answered.headers if name == "sec-websocket-accept"] == expected
        client.say(stream, b"hello")
        assert client.hear(stream) == (1, b"hello")
    sent = ws_backend.handshakes[-1][1]["Sec-WebSocket-Key"]
    assert sent == KEY if keys == [KEY] and path != "/over" else is_key(sent)


def test_bytes_behind_the_head_come_first(proxy, raw_backend) -> None:
    def early(talk) -> None:
        switch(talk)
        talk.socket.sendall(b"\x81\x05early")

    front = start(proxy, raw_backend([early, hold]))
    with Http2Client(front.port()) as client:
        stream = client.websocket("/")
        assert client.hear(stream) == (1, b"early")


def test_an_answer_to_another_key_is_none(proxy, raw_backend) -> None:
    answer = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm90\r\n\r\n"
    front = start(proxy, raw_backend([read_head, answer, hold]))
    with Http2Client(front.port()) as client:
        assert client.streams[client.websocket("/")].status == 502
    front.logged("does not answer the key", name="error.log")


@pytest.mark.parametrize(
    ("path", "status"), [("/closed", 403), ("/text", 501), ("/lost", 502), ("/file/none", 404)]
)
def test_where_there_is_no_websocket(proxy, http_backend, path: str, status: int) -> None:
    front = start(proxy, http_backend)
    with Http2Client(front.port()) as client:
        answered = client.read(client.websocket(path))
        assert answered.status == status
        assert client.get("/text").text == "text"


def test_a_backend_that_refuses(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([read_head, b"HTTP/1.1 401 No\r\nContent-Length: 4\r\nX-Why: w\r\n\r\nname"]))
    with Http2Client(front.port()) as client:
        answered = client.read(client.websocket("/"))
        assert (answered.status, answered.header("x-why"), answered.text) == (401, "w", "name")


def test_other_protocols_are_not_spoken(proxy, ws_backend) -> None:
    front = start(proxy, ws_backend)
    fields = [(":method", "CONNECT"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")]
    with Http2Client(front.port()) as client:
        stream = client.open_with([(":method", "CONNECT"), (":protocol", "connect-udp"), *fields[1:]], ended=False)
        assert client.head(stream).status == 501


@pytest.mark.parametrize("how", ["off", "auto"])
def test_not_offered(proxy, http_backend, how: str) -> None:
    """`auto`: here nothing passes a handshake on."""
    front = proxy(
        in_http(
            """
            http2 on;
            http2_extended_connect {value:how};
            server { listen 127.0.0.1:{port:front}; location / { proxy_pass http://127.0.0.1:{port:back}; } }
            """
        ),
        ports={"back": http_backend.port},
        values={"how": how},
    )
    with Http2Client(front.port()) as client:
        assert client.get("/").status == 200
        assert 8 not in client.settings
        assert client.read(client.websocket("/")).status == 400


def test_ends_pass_both_ways(proxy, raw_backend) -> None:
    backend = raw_backend([switch, read_until_end, b"last words"])
    front = start(proxy, backend)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/")
        client.send(stream, b"bye", ended=True)
        assert client.read(stream).body == b"last words"
    assert backend.conversations[0].received.endswith(b"bye")


def test_a_reset_by_the_client(proxy, raw_backend) -> None:
    backend = raw_backend([switch, read_until_end])
    front = start(proxy, backend)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/")
        client.reset(stream)
        eventually(lambda: backend.conversations[0].ended.is_set())
        assert client.get("/text").status == 200
    front.logged(r"CONNECT / HTTP/2.0\] 200")


def test_a_reset_by_the_backend(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([switch, reset]))
    with Http2Client(front.port()) as client:
        stream = client.websocket("/")
        assert client.read(stream).reset == 8
        assert client.get("/text").status == 200


def test_the_connection_is_lost(proxy, raw_backend) -> None:
    backend = raw_backend([switch, read_until_end])
    front = start(proxy, backend)
    client = Http2Client(front.port())
    client.websocket("/")
    client.close()
    eventually(lambda: backend.conversations[0].ended.is_set())
    front.logged(r"CONNECT / HTTP/2.0\] 200")


def test_silence(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([switch, hold]))
    with Http2Client(front.port()) as client:
        stream = client.websocket("/idle")
        assert client.read(stream).over
        assert client.get("/text").status == 200
    front.logged("tunnel closed after 0.3s", name="error.log")


def test_a_client_that_does_not_take_what_comes(proxy, raw_backend) -> None:
    """Its window is shut: the backend is not read on, its siblings do not notice."""
    flood = b"\x82\x7f" + (32 << 20).to_bytes(8, "big") + bytes(32 << 20)
    backend = raw_backend([switch, flood, hold])
    front = start(proxy, backend)
    with Http2Client(front.port(), greedy=False) as client:
        client.h2.increment_flow_control_window(1 << 24)
        stream = client.websocket("/")
        client.until(lambda: len(client.streams[stream].body) >= 65535)
        client.quiet(0.2)
        assert len(client.streams[stream].body) == 65535
        assert client.get("/text").status == 200
        client.h2.increment_flow_control_window(1 << 20, stream)
        client.flush()
        client.until(lambda: len(client.streams[stream].body) >= 65535 + (1 << 20))


def test_a_backend_that_does_not_take_what_comes(proxy, raw_backend) -> None:
    """The stream's window shuts: the client can not send more than that and what the sockets hold."""
    done = threading.Event()
    backend = raw_backend([switch, lambda talk: done.wait(20)])
    front = start(proxy, backend)
    with Http2Client(front.port(), timeout=1.0) as client:
        stream = client.websocket("/narrow")
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 32 << 20:
                client.send(stream, bytes(1 << 18))
                sent += 1 << 18
        assert sent < 32 << 20
        assert client.get("/text").status == 200
        done.set()


def test_pings_and_limits_hold_for_it(proxy, ws_backend) -> None:
    text = CONFIGURATION.replace("websocket on;", "websocket on; websocket_ping 200ms; websocket_max_message 1k;", 1)
    front = start(proxy, ws_backend, text)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/easy")
        assert client.hear(stream)[0] == 9, "the proxy asks whether the client is there"
        client.say(stream, b"x" * 2000)
        opcode, payload = 9, b""
        while opcode == 9:
            opcode, payload = client.hear(stream)
        assert (opcode, payload[:2]) == (8, (1009).to_bytes(2, "big"))


def test_it_is_seen_and_can_be_closed_like_any_other(proxy, ws_backend) -> None:
    text = CONFIGURATION.replace("location /text", "location = /status { status; } location /text", 1)
    front = start(proxy, ws_backend, text)
    with Http2Client(front.port()) as client:
        stream = client.websocket("/easy")
        client.say(stream, b"hello")
        assert client.hear(stream) == (1, b"hello")
        assert '"/easy"' in client.get("/status").text
        assert client.get("/status").status == 200
