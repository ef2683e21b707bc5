"""What HTTP/2 lets a client do that costs a server more than the client: each has a bound, and a line in the log."""

import contextlib
import struct
import time

import pytest

from harness.backends import RawBackend, hold, read_head
from harness.binary import penstock
from harness.http2 import Http2Client
from harness.processes import resident
from harness.proxy import Proxy, in_http
from harness.raw import RawClient
from harness.waiting import eventually

CONFIGURATION = in_http(
    """
    error_log error.log info;
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        root www;
        large_client_header_buffers 2 4k;
        location / { return 200 fine; }
        location /held { proxy_pass http://127.0.0.1:{port:back}; }
        location /big { send_timeout 400ms; }
    }
    server {
        listen 127.0.0.1:{port:quick};
        client_header_timeout 300ms;
        keepalive_timeout 400ms;
        return 200 quick;
    }
    """
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
ENHANCE_YOUR_CALM = 11
GET = b"\x82\x86\x84\x41\x09localhost"


@pytest.fixture(scope="module")
def front():
    with contextlib.closing(RawBackend([read_head, hold])) as backend:
        ports = {"back": backend.port}
        with Proxy(CONFIGURATION, penstock(), ports=ports, files={"www/big": bytes(4 << 20)}) as made:
            yield made


def sent_away(client: Http2Client, code: int = ENHANCE_YOUR_CALM) -> None:
    client.until(lambda: client.goaway is not None or client.eof)
    assert client.goaway is not None and int(client.goaway.error_code) == code
    client.until(lambda: client.eof)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def flood(client: Http2Client, data: bytes) -> None:
    """Send all of it, whether it is wanted or not."""
    client.flush()
    client.socket.settimeout(5)
    with contextlib.suppress(OSError):
        client.socket.sendall(data)


def attacked(front, data: bytes) -> None:
    """Whoever sends this is sent away, and the log says why."""
    before = front.error_log().count("client reset too many streams")
    with RawClient(front.port()) as client:
        client.send(PREFACE)
        with contextlib.suppress(OSError):
            client.send(data)
        got = b""
        with contextlib.suppress(ConnectionError):
            got = client.recv_all()
    assert not got or struct.pack(">I", ENHANCE_YOUR_CALM) in got[-17:]
    eventually(lambda: front.error_log().count("client reset too many streams") > before)


@pytest.mark.parametrize("path", [b"\x84", b"\x44\x05/held"])
def test_rapid_reset(front, path: bytes) -> None:
    """Streams that are opened and reset at once (CVE-2023-44487), as long as their client likes."""
    head = b"\x82\x86" + path + b"\x41\x09localhost"
    data = b"".join(
        frame(1, 5, number, head) + frame(3, 0, number, struct.pack(">I", 8)) for number in range(1, 4000, 2)
    )
    attacked(front, data)
    assert front.get("/").status == 200


def test_resets_that_a_browser_causes_are_fine(front) -> None:
    with Http2Client(front.port()) as client:
        for _ in range(90):
            client.reset(client.open("/held"))
        assert client.get("/").status == 200


def test_made_resets(front) -> None:
    """Streams that the server has to reset for what the client sends on them (CVE-2025-8671)."""
    head = b"\x83\x86\x44\x05/held\x41\x09localhost"
    data = b"".join(
        frame(1, 4, number, head) + frame(8, 0, number, b"\x7f\xff\xff\xff") for number in range(1, 2000, 2)
    )
    attacked(front, data)


@pytest.mark.parametrize("piece", [b"", b"\x00\x01a\x01b"])
def test_continuation_flood(front, piece: bytes) -> None:
    """Heads that never end (2024)."""
    with Http2Client(front.port()) as client:
        flood(client, frame(1, 1, 1, GET) + frame(9, 0, 1, piece) * 3000)
        sent_away(client)
    front.logged("client sent too large header", name="error.log")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (frame(6, 0, 0, bytes(8)), "too many control frames"),
        (frame(4, 0, 0), "too many control frames"),
        (frame(4, 0, 0, struct.pack(">HI", 4, 65535)), "too many control frames"),
        (frame(2, 0, 3, struct.pack(">IB", 0, 1)), "too many PRIORITY frames"),
        (frame(77, 0, 0, b"x"), "too many control frames"),
    ],
)
def test_floods(front, data: bytes, words: str) -> None:
    with Http2Client(front.port()) as client:
        client.until(lambda: bool(client.settings))
        flood(client, data * 5000)
        with contextlib.suppress(TimeoutError):
            client.until(lambda: client.goaway is not None or client.eof, 5.0)
        assert client.goaway is not None or client.eof
    front.logged(words, name="error.log")


def test_bytes_that_carry_nothing(front) -> None:
    """Few frames, and long ones: megabytes that are no request."""
    with Http2Client(front.port()) as client:
        client.until(lambda: bool(client.settings))
        flood(client, frame(77, 0, 0, bytes(16384)) * 700)
        with contextlib.suppress(TimeoutError, ConnectionError):
            client.until(lambda: client.goaway is not None or client.eof, 5.0)
    front.logged("http2 flood detected", name="error.log")


def test_streams_beyond_the_limit(front) -> None:
    """They are refused; who goes on all the same is sent away."""
    head = b"\x82\x86\x44\x05/held\x41\x09localhost"
    asked = b"".join(frame(1, 5, number, head) for number in range(1, 600, 2))
    with RawClient(front.port()) as client, contextlib.suppress(ConnectionError):
        client.send(PREFACE + asked)
        client.recv_all()
    front.logged("concurrent streams exceeded 128", name="error.log")
    eventually(lambda: "client sent too many refused streams" in front.error_log())
    assert front.get("/").status == 200


def test_a_window_that_opens_byte_by_byte(front) -> None:
    """Nothing is waited for in vain: what fits is sent, and siblings get theirs."""
    with Http2Client(front.port(), greedy=False, settings={4: 0}) as client:
        client.until(lambda: bool(client.settings))
        stream = client.open("/")
        for _ in range(4):
            client.h2.increment_flow_control_window(1, stream)
            client.flush()
            client.quiet(0.02)
        assert client.read(stream).text == "fine"


def test_frames_without_content(front) -> None:
    with Http2Client(front.port()) as client:
        stream = client.open("/held", method="POST", ended=False)
        flood(client, frame(0, 0, stream) * 5000)
        with contextlib.suppress(TimeoutError):
            client.until(lambda: client.goaway is not None or client.eof, 5.0)
        assert client.goaway is not None or client.eof
    front.logged("too many empty DATA frames", name="error.log")


def test_a_bomb_of_compressed_fields(front) -> None:
    """A long field in the table, and named again and again by a byte."""
    with Http2Client(front.port()) as client:
        bomb = b"\x40\x01a\x7f\x81\x1f" + b"x" * 4000
        bomb = b"\x40\x01a" + b"\x7f" + _varint(3800 - 127) + b"x" * 3800 + b"\xbe" * 4000
        flood(client, frame(1, 5, 1, GET + bomb))
        sent_away(client)
    front.logged("client sent too large header", name="error.log")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


@pytest.mark.parametrize("fields", [[("x-long", "x" * 4097)], [(f"x-{n}", "x" * 1000) for n in range(9)]])
def test_heads_beyond_the_buffers(front, fields) -> None:
    with Http2Client(front.port()) as client:
        client.open("/", *fields)
        sent_away(client)


def test_a_window_that_is_never_opened(front) -> None:
    """`send_timeout` ends the answer; the connection and its other streams go on."""
    with Http2Client(front.port(), greedy=False) as client:
        client.h2.increment_flow_control_window(1 << 20)
        began = time.monotonic()
        stuck = client.open("/big")
        answered = client.read(stuck)
        assert answered.reset is not None and len(answered.body) == 65535
        assert time.monotonic() - began < 15
        assert client.get("/").status == 200
    front.logged("client timed out .* while sending response to client", name="error.log")


def test_a_client_that_asks_and_never_reads(front) -> None:
    """What waits to be sent to it is bounded, and it is not read on meanwhile."""
    with RawClient(front.port()) as client:
        client.socket.settimeout(0.5)
        pieces = PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 1 << 30)) + frame(8, 0, 0, struct.pack(">I", 1 << 30))
        asked = b"\x82\x86\x44\x04/big\x41\x09localhost"
        client.send(pieces + b"".join(frame(1, 5, number, asked) for number in range(1, 41, 2)))
        before = resident(*front.children())
        with contextlib.suppress(OSError):
            for _ in range(200):
                client.socket.sendall(frame(6, 0, 0, bytes(8)) * 3)
                time.sleep(0.001)
        assert resident(*front.children()) < before + (16 << 20)
    assert front.get("/").status == 200




def test_who_says_nothing(front) -> None:
    port = front.port("quick")
    for said in (b"", PREFACE[:10], PREFACE, PREFACE + frame(1, 0, 1, GET)):
        began = time.monotonic()
        with RawClient(port) as client:
            client.send(said)
            client.recv_all()
        assert time.monotonic() - began < 12, said


def test_who_asks_for_nothing_more(front) -> None:
    with Http2Client(front.port("quick")) as client:
        assert client.get("/").text == "quick"
        client.until(lambda: client.eof)
        assert client.goaway is not None and int(client.goaway.error_code) == 0


def test_nothing_is_left_of_it(front) -> None:
    """After all that a new client is served, and no connection hangs on."""
    with Http2Client(front.port()) as client:
        assert client.get("/").status == 200
    assert "[alert]" not in front.error_log() and "internal error" not in front.error_log()
