"""WebSockets toward backends of HTTP/2: by an extended CONNECT (RFC 8441) where one takes it, else over HTTP/1.1."""

import hashlib
import os
import signal
import socket
import struct
import threading
import time

import pytest
from h2.settings import SettingCodes

from harness.backends import HttpEcho, WebSocketEcho
from harness.backends.http2 import Asked, Http2Backend
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.raw import RawClient
from harness.waiting import eventually
from harness.wire import CLOSE, PING, PONG, TEXT, Frames, WireClient, close_code, masked, plain

CANCEL, REFUSED_STREAM = 8, 7
TAKES = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
CONFIGURATION = "error_log error.log info;" + in_http(
    """
    log_format ws "$request_uri $status $upstream_status $websocket_close_code $websocket_close_from "
                  "$websocket_end_reason";
    access_log access.log ws;
    websocket_drain 300ms;
    websocket_close_timeout 1s;
    http2 on;
    upstream kept { server 127.0.0.1:{port:back}; keepalive 4; }
    server {
        listen 127.0.0.1:{port:front};
        proxy_http_version 2;
        location / { websocket on; proxy_pass http://kept; }
        location /requests { proxy_pass http://kept; }
        location /by-hand {
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_pass http://kept;
        }
        location /ping { websocket auto; websocket_ping 200ms timeout=1s; proxy_pass http://kept; }
        location /limit { websocket auto; websocket_max_message 10; proxy_pass http://kept; }
    }
    """
)


def start(proxy, backend, text: str = CONFIGURATION, **more):
    return proxy(text, ports={"back": backend.port}, **more)


def accept(asked: Asked) -> None:
    """Say yes to whoever wants a WebSocket, and answer requests."""
    if asked.field(":protocol") is None:
        asked.answer(bytes(2_000_000) if "large" in asked.path else b"text")
        return
    chosen = [("sec-websocket-protocol", "chat")] if asked.field("sec-websocket-protocol") else []
    asked.head(200, *chosen, ("x-backend", "b"))


def echo(asked: Asked) -> None:
    """Send frames back as they came; the answer to a close frame is the last."""
    for opcode, payload in frames(asked):
        last = opcode == CLOSE
        asked.data(plain(payload, opcode), ended=last)


def frames(asked: Asked) -> list[tuple[int, bytes]]:
    """Those that have come since."""
    reader = asked.__dict__.setdefault("reader", Frames())
    data, asked.body = bytes(asked.body), bytearray()
    found: list[tuple[int, bytes]] = reader.feed(data)
    assert not reader.unmasked
    return found


def collect(asked: Asked) -> None:
    asked.__dict__.setdefault("heard", []).extend(frames(asked))


def heard(asked: Asked, opcode: int) -> list[bytes]:
    return [payload for each, payload in asked.__dict__.get("heard", []) if each == opcode]


@pytest.fixture
def backend():
    with Http2Backend(accept, early=True, more=echo, settings=TAKES) as backend:
        yield backend


def hear(client: RawClient) -> tuple[int, bytes]:
    first, size = client.recv_exactly(2)
    if size == 126:
        size = int.from_bytes(client.recv_exactly(2), "big")
    elif size == 127:
        size = int.from_bytes(client.recv_exactly(8), "big")
    return first & 15, client.recv_exactly(size)


# By an extended CONNECT


@pytest.mark.parametrize("path", ["/chat?a=1", "/by-hand"])
def test_an_echo(proxy, backend, path: str) -> None:
    front = start(proxy, backend)
    with WireClient(front.port(), path) as client:
        for data in (b"one", b"two" * 1000, b"x" * 300_000):
            client.send(masked(data, TEXT))
            assert hear(client) == (TEXT, data)
        client.send(masked(struct.pack("!H", 1000), CLOSE))
        assert client.frames_until_end() == [(CLOSE, b"\x03\xe8")]
    front.logged(r"101 101 1000 client closed")
    asked = backend.requests[0]
    assert asked.fields[:5] == [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path), (":authority", "kept")
    ]
    names = {name for name, _ in asked.fields[5:]}
    assert "sec-websocket-version" in names
    assert not names & {"sec-websocket-key", "upgrade", "connection", "host", "content-length"}


def test_what_the_client_gets(proxy, backend) -> None:
    front = start(proxy, backend)
    with RawClient(front.port()) as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://a.test\r\n"
            b"Sec-WebSocket-Protocol: chat\r\n\r\n"
        )
        head = client.recv_until(b"\r\n\r\n").decode().lower()
    assert head.startswith("http/1.1 101 ")
    assert "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head
    for line in ("upgrade: websocket", "connection: upgrade", "sec-websocket-protocol: chat", "x-backend: b"):
        assert head.count(line) == 1
    asked = backend.requests[0]
    assert asked.field("origin") == "http://a.test" and asked.field("sec-websocket-protocol") == "chat"


def test_http2_on_both_sides(proxy, backend) -> None:
    front = start(proxy, backend)
    with Http2Client(front.port()) as client:
        streams = [client.websocket("/chat") for _ in range(5)]
        for number, stream in enumerate(streams):
            assert client.streams[stream].status == 200
            assert client.streams[stream].header("sec-websocket-accept") is None
            data = os.urandom(70_000 + number)
            client.say(stream, data)
            assert client.hear(stream) == (1, data)
        client.say(streams[0], struct.pack("!H", 1001), CLOSE)
        assert client.hear(streams[0]) == (CLOSE, struct.pack("!H", 1001))
        assert client.read(streams[0]).ended
        client.say(streams[1], b"still here")
        assert client.hear(streams[1]) == (1, b"still here")
    assert backend.connections == 1
    eventually(lambda: all(each.reset == CANCEL or each.ended for each in backend.requests))


def test_requests_and_websockets_share_a_connection(proxy, backend) -> None:
    front = start(proxy, backend)
    clients = [WireClient(front.port(), f"/{number}") for number in range(20)]
    try:
        answers = []
        load = threading.Thread(target=lambda: answers.append(front.get("/requests/large", timeout=20)))
        load.start()
        for _ in range(10):
            for number, client in enumerate(clients):
                client.send(masked(b"%d" % number, TEXT))
            for number, client in enumerate(clients):
                assert hear(client) == (TEXT, b"%d" % number)
        load.join(20)
        assert len(answers[0].body) == 2_000_000
        assert backend.connections == 1
    finally:
        for client in clients:
            client.close()


def test_one_that_does_not_read_holds_up_nobody(proxy) -> None:
    data = os.urandom(1 << 16)

    def pour(asked: Asked) -> None:
        if asked.path == "/slow":
            for _ in range(200):
                asked.data(plain(data))
        else:
            echo(asked)

    with Http2Backend(accept, early=True, more=pour, settings=TAKES) as backend:
        front = start(proxy, backend)
        with WireClient(front.port(), "/slow") as slow, WireClient(front.port(), "/quick") as quick:
            slow.send(masked(b"go", TEXT))
            for _ in range(30):
                quick.send(masked(b"x" * 1000, TEXT))
                assert hear(quick) == (TEXT, b"x" * 1000)
            assert backend.connections == 1
            total = hashlib.sha256()
            for _ in range(200):
                total.update(hear(slow)[1])
            assert total.digest() == hashlib.sha256(data * 200).digest()


def test_a_backend_that_says_no(proxy) -> None:
    def refuse(asked: Asked) -> None:
        asked.answer(b"not here", ("content-type", "text/plain"), status=403)

    with Http2Backend(refuse, early=True, settings=TAKES) as backend:
        front = start(proxy, backend)
        answered = front.get(
            "/chat",
            {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version": "13",
            },
        )
        assert (answered.status, answered.body) == (403, b"not here")
        with Http2Client(front.port()) as client:
            stream = client.websocket("/chat")
            assert client.read(stream).status == 403
        assert backend.connections == 1


def test_one_that_was_not_looked_at_is_asked_for_again(proxy) -> None:
    def answer(asked: Asked) -> None:
        if len(backend.requests) == 1:
            asked.cancel(REFUSED_STREAM)
        else:
            accept(asked)

    with Http2Backend(answer, early=True, more=echo, settings=TAKES) as backend:
        front = start(proxy, backend)
        with WireClient(front.port()) as client:
            client.send(masked(b"x", TEXT))
            assert hear(client) == (TEXT, b"x")
        assert len(backend.requests) == 2


def test_goaway_leaves_tunnels_alone(proxy, backend) -> None:
    front = start(proxy, backend)
    with WireClient(front.port()) as first:
        backend.talks[0].goaway(backend.requests[0].stream)
        with WireClient(front.port()) as second:
            for client in (first, second):
                client.send(masked(b"x", TEXT))
                assert hear(client) == (TEXT, b"x")
        assert backend.connections == 2
        assert 0 not in backend.ended
    eventually(lambda: backend.ended >= {0})


# What the websocket module does


def test_pings(proxy) -> None:
    with Http2Backend(accept, early=True, more=collect, settings=TAKES) as backend:
        front = start(proxy, backend)
        with WireClient(front.port(), "/ping") as client:
            for _ in range(3):
                opcode, token = hear(client)
                assert opcode == PING
                client.send(masked(token, PONG))
            asked = backend.requests[0]
            assert not asked.__dict__.get("heard")
            eventually(lambda: [close_code(each) for each in heard(asked, CLOSE)] == [1001])
        front.logged(r"^/ping 101 \d+ 1001 proxy client_ping_timeout")


def test_limits(proxy) -> None:
    with Http2Backend(accept, early=True, more=collect, settings=TAKES) as backend:
        front = start(proxy, backend)
        with WireClient(front.port(), "/limit") as client:
            client.send(masked(b"x" * 11, TEXT))
            assert client.answer_close() == 1009
        asked = backend.requests[0]
        eventually(lambda: [close_code(each) for each in heard(asked, CLOSE)] == [1001])
        front.logged(r"^/limit 101 \d+ 1009 proxy message_too_big")


@pytest.mark.parametrize("how", ["reset", "end", "connection"])
def test_a_backend_that_is_gone(proxy, how: str) -> None:
    def leave(asked: Asked) -> None:
        if [opcode for opcode, _ in frames(asked)] != [TEXT]:
            return
        if how == "reset":
            asked.cancel(CANCEL)
        elif how == "end":
            asked.data(b"", ended=True)
        else:
            asked.talk.close()

    with Http2Backend(accept, early=True, more=leave, settings=TAKES) as backend:
        front = start(proxy, backend)
        with WireClient(front.port(), "/chat") as client, WireClient(front.port(), "/other") as other:
            client.send(masked(b"x", TEXT))
            assert client.answer_close() == 1014
            if how == "connection":
                assert other.answer_close() == 1014
            else:
                other.send(masked(b"", PING))
        front.logged(r"(?m)^/chat 101 \d+ 1014 proxy backend_lost")


def test_a_client_that_is_gone(proxy, backend) -> None:
    front = start(proxy, backend)
    with WireClient(front.port()) as client:
        client.reset()
    eventually(lambda: backend.requests[0].reset == CANCEL or backend.requests[0].ended)
    with WireClient(front.port()) as client:
        client.send(masked(b"x", TEXT))
        assert hear(client) == (TEXT, b"x")
    assert backend.connections == 1


def test_drain(proxy) -> None:
    with Http2Backend(accept, early=True, more=collect, settings=TAKES) as backend:
        front = start(proxy, backend)
        with WireClient(front.port(), "/chat") as client:
            front.send_signal(signal.SIGQUIT)
            assert client.answer_close() == 1012
            eventually(lambda: [close_code(each) for each in heard(backend.requests[0], CLOSE)] == [1012])
        front.logged("drained all", name="error.log")
        eventually(lambda: backend.ended == {0})


# Over HTTP/1.1


def upgraded(connection: socket.socket) -> None:
    """Shake hands in HTTP/1.1; say hello."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65536)
        if not data:
            return
        head += data
    from websockets.utils import accept_key

    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
    key = next(value for name, value in lines.items() if name.lower() == "sec-websocket-key")
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept_key(key).encode() + b"\r\n\r\n" + plain(b"over 1.1", TEXT)
    )
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("tls", [False, True])
def test_a_backend_that_takes_none_gets_http1_and_is_remembered(proxy, authority, tls: bool) -> None:
    text = CONFIGURATION.replace("proxy_pass http:", "proxy_pass https:") if tls else CONFIGURATION
    context = authority.server_context(authority.issue("back.example")) if tls else None
    with Http2Backend(accept, early=True, http1=upgraded, tls=context) as backend:
        front = start(proxy, backend, text)
        for number in range(3):
            with WireClient(front.port(), f"/{number}") as client:
                assert hear(client) == (TEXT, b"over 1.1")
        with Http2Client(front.port()) as client:
            stream = client.websocket("/chat")
            assert client.hear(stream) == (TEXT, b"over 1.1")
        assert len(backend.talks) == 1, "it was asked once"
        assert not backend.requests
        assert front.get("/requests").status == 200
        assert len(backend.talks) == 1


def test_a_backend_of_http1_alone(proxy, ws_backend) -> None:
    front = start(proxy, ws_backend)
    for _ in range(3):
        with WireClient(front.port()) as client:
            client.send(masked(b"x", TEXT))
            assert hear(client) == (TEXT, b"x")
    assert front.error_log().count("the WebSocket is asked for over HTTP/1.1") == 1, "then it is remembered"


def test_a_backend_of_http1_that_answers_is_no_websocket(proxy) -> None:
    with HttpEcho() as backend:
        front = start(proxy, backend)
        with RawClient(front.port()) as client:
            client.send(
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert client.response().status != 101


def test_a_backend_that_says_nothing_is_late(proxy) -> None:
    text = CONFIGURATION.replace("http2 on;", "http2 on; proxy_connect_timeout 400ms;")
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        class There:
            port = listener.getsockname()[1]

        threading.Thread(target=lambda: held.append(listener.accept()[0]), daemon=True).start()
        front = start(proxy, There, text)
        with RawClient(front.port()) as client:
            client.send(
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert client.response().status == 504
        front.logged("timed out .* while waiting for HTTP/2 settings of upstream", name="error.log")
    for each in held:
        each.close()


# Penstock behind Penstock

INNER = in_http(
    """
    log_format inner "$connection $server_protocol $request_method $uri $status";
    access_log access.log inner;
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        location / { websocket on; proxy_pass http://127.0.0.1:{port:ws}; }
        location /requests { root www; }
    }
    """
)


def test_penstock_behind_penstock(proxy) -> None:
    data = os.urandom(20_000_000)
    with WebSocketEcho() as echoes:
        inner = proxy(INNER, ports={"ws": echoes.port}, files={"www/requests/file": data})

        class There:
            port = inner.port()

        outer = start(proxy, There)
        with Http2Client(outer.port()) as many:
            streams = [many.websocket(f"/{number}") for number in range(30)]
            plainly = [WireClient(outer.port(), f"/plain/{number}") for number in range(10)]
            answers = []
            load = threading.Thread(target=lambda: answers.append(outer.get("/requests/file", timeout=60)))
            load.start()
            for turn in range(5):
                payload = b"%d" % turn * (1 + 500 * turn)
                for stream in streams:
                    many.say(stream, payload)
                for client in plainly:
                    client.send(masked(payload, TEXT))
                for stream in streams:
                    assert many.hear(stream) == (TEXT, payload)
                for client in plainly:
                    assert hear(client) == (TEXT, payload)
                time.sleep(0.05)
            load.join(60)
            assert hashlib.sha256(answers[0].body).digest() == hashlib.sha256(data).digest()
            for client in plainly:
                client.send(masked(struct.pack("!H", 1000), CLOSE))
                assert client.frames_until_end() == [(CLOSE, b"\x03\xe8")]
        eventually(lambda: len(inner.access_log().splitlines()) == 41)
        lines = [line.split() for line in inner.access_log().splitlines()]
        assert {line[0] for line in lines} == {lines[0][0]}, "one connection"
        assert {line[1] for line in lines} == {"HTTP/2.0"}
