"""What HTTP/2 shares with HTTP/1.1: what is refused, and what is said and done about a client that goes or stalls."""

import socket
import struct

import pytest

from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.raw import RawClient
from harness.waiting import eventually

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SINGLE = (
    "authorization",
    "content-length",
    "content-range",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "proxy-authorization",
)
VALUES = {"content-length": "0", "host": "localhost", "expect": "100-continue"}
BIG = 8 << 20


@pytest.fixture
def front(proxy):
    return proxy(
        in_http(
            """
            http2 on;
            error_log error.log info;
            server {
                listen 127.0.0.1:{port:front} sndbuf=16k;
                root www;
                location / { return 200 ok; }
                location = /big { }
                location = /reset/big { rewrite ^ /big break; send_timeout 300ms; reset_timedout_connection on; }
                location = /ended/big { rewrite ^ /big break; send_timeout 300ms; }
            }
            """
        ),
        files={"www/big": "x" * BIG},
    )


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_field_that_comes_twice(front, name: str) -> None:
    """The very same value, too: other fields may be repeated."""
    value = VALUES.get(name, "a")
    lines = f"{name}: {value}\r\n" * 2
    host = "" if name == "host" else "Host: localhost\r\n"
    with RawClient(front.port()) as client:
        assert client.send(f"GET / HTTP/1.1\r\n{host}{lines}\r\n").response().status == 400
    head = [(":method", "GET"), (":scheme", "http"), (":path", "/")]
    if name != "host":
        head.append((":authority", "localhost"))
    with Http2Client(front.port()) as client:
        for _ in range(2):  # what came before is remembered
            assert client.read(client.open_with([*head, (name, value), (name, value)])).status == 400
        assert client.get("/", ("x-twice", "a"), ("x-twice", "a")).status == 200
    assert front.error_log().count("client sent duplicate h") == 3


def narrow(port: int) -> RawClient:
    client = RawClient.__new__(RawClient)
    client.socket = socket.socket()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.socket.connect(("127.0.0.1", port))
    client.timeout, client.buffer, client.eof = 10.0, b"", False
    return client


def ask(client: RawClient, version: str, path: str) -> None:
    """Ask for a file that is long, as one who will not read it."""
    if version == "1.1":
        client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return
    size = bytes((len(path),)) + path.encode()
    block = b"\x82\x86\x04" + size + b"\x41\x09localhost"
    window = struct.pack(">HI", 4, 1 << 30)
    client.send(PREFACE)
    for kind, flags, stream, payload in ((4, 0, 0, window), (8, 0, 0, b"\x3f\xff\0\0"), (1, 5, 1, block)):
        client.send(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload)


def how_it_ended(client: RawClient) -> str:
    client.socket.settimeout(10)
    try:
        while client.socket.recv(1 << 20):
            pass
    except ConnectionResetError:
        return "reset"
    return "ended"


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("how", ["reset", "ended"])
def test_a_client_that_takes_nothing(front, version: str, how: str) -> None:
    with narrow(front.port()) as client:
        ask(client, version, f"/{how}/big")
        front.logged(rf"client timed out .* while sending response to client.*/{how}/big", name="error.log")
        assert how_it_ended(client) == how


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_client_that_goes_amid_its_answer(front, version: str) -> None:
    with narrow(front.port()) as client:
        ask(client, version, "/big")
        had = 0
        while had < 1500:  # more than settings and heads: the answer is under way
            had += len(client.socket.recv(1000))
        client.reset()
    front.logged(
        # Which of the two it is, the kernel decides: whether the reset was met by this write or by one before.
        r"client prematurely closed connection: \w+\(\) failed "
        r"\((?:104: Connection reset by peer|32: Broken pipe)\) while "
        r'sending response to client, client: 127.0.0.1, server: , request: "GET /big HTTP/',
        name="error.log",
    )


def test_a_client_that_takes_a_request_back(front) -> None:
    with Http2Client(front.port(), greedy=False) as client:
        stream = client.open("/big")
        client.head(stream)
        client.reset(stream)
        assert client.get("/").text == "ok"
    front.logged(
        r'client prematurely closed stream: .* while sending response to client, .* request: "GET /big HTTP/2.0"',
        name="error.log",
    )
    eventually(lambda: "client canceled stream 1" in front.error_log())
