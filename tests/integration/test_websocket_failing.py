"""WebSockets whose protocol is broken: the connection is failed at once; and what ends the wait for a close frame.

RFC 6455, 7.1.7: a close frame, and then the connection is closed by us, whatever the peer says to it.
"""

import ssl
import struct
import threading
import time

import pytest

from harness.backends import hold, until
from harness.crowd_frames import HANDSHAKE_KEY
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.raw import RawClient
from harness.waiting import eventually
from harness.wire import CLOSE, PING, PONG, TEXT, WireClient, codes, heard, masked, plain, switch

FRONT = """
    log_format ws '$request_uri $websocket_close_code $websocket_close_from $websocket_end_reason';
    access_log access.log ws;
    http2 on;
    websocket_close_timeout 20s;
    http2_extended_connect on;
    server {
        listen 127.0.0.1:{port:front};
        listen 127.0.0.1:{port:tls} ssl;
        ssl_certificate {value:certificate};
        ssl_certificate_key {value:key};
        location / { websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
        location /on { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
        location /limit { websocket auto; websocket_max_frame 10; proxy_pass http://127.0.0.1:{port:back}; }
        location /old { websocket auto; websocket_max_lifetime 200ms; proxy_pass http://127.0.0.1:{port:back}; }
        location /ping {
            websocket auto; websocket_ping 150ms timeout=700ms; proxy_pass http://127.0.0.1:{port:back};
        }
        location /nginx/ping {
            websocket_ping 150ms timeout=700ms; proxy_pass http://127.0.0.1:{port:back};
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        }
    }
"""
AT_ONCE = 12.0
"""Seconds that are nothing beside `websocket_close_timeout`, on a busy machine."""
WRONG = {
    "a reserved bit": b"\xc1\x80\0\0\0\0",
    "an unknown opcode": b"\x83\x80\0\0\0\0",
    "an unknown control opcode": b"\x8b\x80\0\0\0\0",
    "no mask": plain(b"bare"),
    "a long ping": b"\x89\xfe\0\x7e\0\0\0\0" + b"x" * 126,
    "a fragmented ping": b"\x09\x80\0\0\0\0",
    "a continuation of nothing": b"\x80\x80\0\0\0\0",
    "a message inside another": b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0",
    "half a close code": b"\x88\x81\0\0\0\0\x03",
    "a close code that is none": b"\x88\x82\0\0\0\0\x03\xec",
    "a long way to say a length": b"\x81\xfe\0\x01\0\0\0\0x",
}
ASK = (
    "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {HANDSHAKE_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def start(proxy, raw_backend, authority):
    pair = authority.issue("localhost")

    def start(*script):
        backend = raw_backend([switch, *script])
        values = {"certificate": pair.certificate, "key": pair.key}
        return proxy(in_http(FRONT), ports={"back": backend.port}, values=values), backend

    return start


def timed(call):
    began = time.monotonic()
    return call(), time.monotonic() - began


@pytest.mark.parametrize("path", ["/", "/on"])
def test_a_client_that_breaks_the_protocol(start, path: str) -> None:
    """It reads, sends nothing, closes nothing: the end comes from us, behind the close frame."""
    front, backend = start(lambda talk: answered(talk))
    for at, (name, data) in enumerate(WRONG.items()):
        with WireClient(front.port("front"), path, timeout=30) as client:
            client.send(data)
            frames, seconds = timed(client.frames_until_end)
            assert codes(frames) == [1002] and seconds < AT_ONCE, name
            eventually(lambda at=at: codes(heard(backend.conversations[at])) == [1002])
    front.logged(rf"(?m)^{path} 1002 proxy protocol_error$")


def test_a_client_that_goes_on_talking_gets_the_close_frame(start) -> None:
    """No reset takes it away, though there are bytes that nobody wants any more."""
    front, _ = start(hold)
    with WireClient(front.port("front"), timeout=30) as client:
        client.send(WRONG["a reserved bit"] + masked(b"x" * 60000) * 3)
        time.sleep(0.3)
        client.send(masked(b"y" * 60000))
        frames, seconds = timed(client.frames_until_end)
        assert codes(frames) == [1002] and seconds < AT_ONCE


def test_a_client_that_goes_on_talking_over_tls(start, authority) -> None:
    front, _ = start(hold)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    with RawClient(front.port("tls"), 30, context) as client:
        client.send(ASK.format("/"))
        assert client.response().status == 101
        client.send(WRONG["a reserved bit"] + masked(b"x" * 60000) * 3)
        time.sleep(0.3)
        client.send(masked(b"y" * 60000))
        got, seconds = timed(client.recv_all)
        assert got[2:4] == b"\x03\xea" and seconds < AT_ONCE


def test_a_client_that_never_closes_is_let_go(start) -> None:
    """Our FIN has been sent, and the rest of the connection is not kept for as long as a close frame is waited for."""
    front, _ = start(lambda talk: answered(talk))
    with WireClient(front.port("front"), timeout=30) as client:
        client.send(WRONG["no mask"])
        assert codes(client.frames_until_end()) == [1002]
        found, seconds = timed(lambda: front.logged(r"(?m)^/ 1002 proxy protocol_error$"))
        assert found and seconds < AT_ONCE + 2


def answered(talk) -> None:
    """Answer a close frame and close, as a server does."""
    eventually(lambda: not talk.fill() or codes(heard(talk)))
    talk.socket.sendall(plain(b"\x03\xea", CLOSE))


def test_over_tls(start, authority) -> None:
    front, _ = start(hold)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    for name, data in WRONG.items():
        with RawClient(front.port("tls"), 30, context) as client:
            client.send(ASK.format("/"))
            assert client.response().status == 101
            client.send(data)
            got, seconds = timed(client.recv_all)
            assert got[:4] == b"\x88" + got[1:2] + b"\x03\xea" and seconds < AT_ONCE, name


def test_over_http2(start) -> None:
    front, _ = start(hold)
    with Http2Client(front.port("front"), timeout=30) as client:
        for name, data in WRONG.items():
            stream = client.websocket("/")
            client.send(stream, data)
            opcode, payload = client.hear(stream)
            assert (opcode, payload[:2]) == (CLOSE, b"\x03\xea")
            over, seconds = timed(lambda stream=stream: client.until(lambda: client.streams[stream].over))
            assert over and client.streams[stream].ended and seconds < AT_ONCE, name


def test_a_limit_ends_in_the_same_way(start) -> None:
    front, backend = start(hold)
    with WireClient(front.port("front"), "/limit", timeout=30) as client:
        client.send(masked(b"x" * 11))
        frames, seconds = timed(client.frames_until_end)
        assert codes(frames) == [1009] and seconds < AT_ONCE
    eventually(lambda: codes(heard(backend.conversations[0])) == [1001])


@pytest.mark.parametrize(
    "wrong", [masked(b"masked"), b"\xc1\0", b"\x83\0", b"\x09\0", b"\x80\0", b"\x88\x01\x03", masked(b"", PING)]
)
def test_a_backend_that_breaks_the_protocol(start, wrong: bytes) -> None:
    """Its connection ends at once behind the close frame, though it answers nothing, and the client hears of it."""
    ends: list[float] = []

    def listen(talk) -> None:
        began = time.monotonic()
        hold(talk)
        ends.append(time.monotonic() - began)

    front, backend = start(plain(b"good", TEXT) + wrong, listen)
    with WireClient(front.port("front"), timeout=30) as client:
        assert client.frame() == (TEXT, b"good")
        assert client.frame()[0] == CLOSE
        assert eventually(lambda: ends, timeout=25) and ends[0] < AT_ONCE
        assert codes(heard(backend.conversations[0])) == [1002]
        client.send(masked(b"\x03\xea", CLOSE))
        assert client.closed()


# -- clients that do not mask what they say about the connection

LATE = {
    "a close frame without a mask": plain(b"\x03\xe9", CLOSE),
    "an empty one without a mask": plain(b"", CLOSE),
    "half a code": plain(b"\x03", CLOSE),
    "a code that is none": masked(b"\x03\xec", CLOSE),
    "a fragmented one": b"\x08\x80\0\0\0\0",
    "one with a reserved bit": b"\xc8\x82\0\0\0\0\x03\xe9",
    "data without a mask": plain(b"bare"),
    "no frame at all": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("end", LATE)
def test_what_ends_the_wait_for_a_close_frame(start, end: str) -> None:
    front, backend = start(lambda talk: answered(talk))
    with WireClient(front.port("front"), "/old", timeout=30) as client:
        assert client.frame()[0] == CLOSE
        client.send(LATE[end])
        rest, seconds = timed(client.recv_all)
        assert rest == b"" and seconds < AT_ONCE
    found, seconds = timed(lambda: front.logged(r"(?m)^/old 1001 proxy lifetime$"))
    assert found and seconds < AT_ONCE
    assert codes(heard(backend.conversations[0])) == [1001]


def test_what_ends_it_over_http2(start) -> None:
    front, _ = start(lambda talk: answered(talk))
    with Http2Client(front.port("front"), timeout=30) as client:
        for end in LATE.values():
            stream = client.websocket("/old")
            assert client.hear(stream)[0] == CLOSE
            client.send(stream, end)
            over, seconds = timed(lambda stream=stream: client.until(lambda: client.streams[stream].over))
            assert over and seconds < AT_ONCE


@pytest.mark.parametrize("end", list(LATE.values())[2:])
def test_an_odd_answer_to_a_backend_that_says_goodbye(start, end: bytes) -> None:
    front, backend = start(plain(b"\x03\xe8", CLOSE), hold)
    with WireClient(front.port("front"), timeout=30) as client:
        assert client.frame() == (CLOSE, b"\x03\xe8")
        client.send(end)
        assert timed(client.recv_all)[1] < AT_ONCE and client.eof
        eventually(lambda: codes(heard(backend.conversations[0])) == [1000])
    front.logged(r"(?m)^/ 1000 backend closed$")


@pytest.mark.parametrize("path", ["/ping", "/nginx/ping"])
def test_pongs_without_a_mask(start, path: str) -> None:
    """As a Python MQTT client sends them: the tunnel stays, and the backend sees what is not for us masked."""
    told = threading.Event()
    front, backend = start(until(told), plain(b"hello"), plain(b"you?", PING), lambda talk: answered(talk))
    with WireClient(front.port("front"), path, timeout=30) as client:
        for count in range(8):
            opcode, token = client.frame()
            assert opcode == PING
            client.send(plain(token, PONG))
            if count == 3:
                client.send(plain(b"anybody?", PING) + masked(b"data", TEXT))
        told.set()
        others = []
        while (PING, b"you?") not in others:
            opcode, payload = client.frame()
            client.send(plain(payload, PONG) if opcode == PING else b"")
            others.append((opcode, payload))
        assert (2, b"hello") in others
        client.send(plain(struct.pack("!H", 1000) + b"done", CLOSE))
        eventually(lambda: codes(heard(backend.conversations[0])) == [1000])
        got = heard(backend.conversations[0])
        assert got == [(PING, b"anybody?"), (TEXT, b"data"), (PONG, b"you?"), (CLOSE, b"\x03\xe8done")]
    front.logged(rf"(?m)^{path} 1000 client closed$")


def test_pongs_without_a_mask_over_http2(start) -> None:
    front, backend = start(hold)
    with Http2Client(front.port("front"), timeout=30) as client:
        stream = client.websocket("/ping")
        for _ in range(8):
            opcode, token = client.hear(stream)
            assert opcode == PING
            client.send(stream, plain(token, PONG))
        client.send(stream, plain(b"\x03\xe8", CLOSE))
        eventually(lambda: codes(heard(backend.conversations[0])) == [1000])
