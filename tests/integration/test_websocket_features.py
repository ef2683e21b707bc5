"""Pings, limits, lifetimes and repeated authorization of WebSockets, each as both sides and the logs see it."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import HttpEcho, hold, pause
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import CLOSE, PING, PONG, TEXT, WireClient, codes, heard, masked, plain, switch

FORMAT = (
    "log_format ws '$request_uri $websocket_close_code $websocket_close_from $websocket_end_reason "
    "pings=$websocket_pings rtt=$websocket_rtt $websocket_messages_in/$websocket_messages_out';\n"
    "access_log access.log ws;\n"
)
PASS = "websocket auto; proxy_pass http://127.0.0.1:{port:back}; websocket_close_timeout 1s;"


@pytest.fixture
def serve(proxy):
    """A factory: a proxy with these directives in the one location before a backend."""

    def serve(backend, directives: str, more: str = "", **ports: int):
        server = "server { listen 127.0.0.1:{port:front};\nlocation / {" + PASS + directives + "}\n" + more + "}"
        return proxy(in_http(FORMAT + server), ports={"back": backend.port, **ports})

    return serve


# -- ping


def test_a_silent_websocket_stays_open(serve, ws_backend) -> None:
    front = serve(ws_backend, "proxy_read_timeout 1s; websocket_ping 250ms to=both;")
    with connect(front.url("/", "ws")) as client:
        time.sleep(2.5)
        client.send("still there")
        assert client.recv() == "still there"
        client.close()
    found = front.logged(r"^/ 1000 client closed pings=(\d+) rtt=0\.\d{3} 1/1$")
    assert 4 <= int(found[1]) <= 40


def test_a_ping_comes_before_the_silence_counts(serve, ws_backend) -> None:
    """Where the interval is longer than proxy_read_timeout, silence is a reason to ask, and not to end."""
    front = serve(ws_backend, "proxy_read_timeout 300ms; websocket_ping 1m;")
    with connect(front.url("/", "ws")) as client:
        time.sleep(1.2)
        client.send("still there")
        assert client.recv() == "still there"


def test_pongs_to_our_pings_stay_with_us(serve, raw_backend) -> None:
    backend = raw_backend([switch, pause(0.6), plain(b"x" * 40, PING), hold])
    front = serve(backend, "websocket_ping 200ms to=both timeout=5s;")
    with WireClient(front.port()) as client:
        opcode, token = client.frame()
        assert opcode == PING and len(token) == 8
        client.send(masked(token, PONG) + masked(b"mine", PONG) + masked(b"mine too", PING))
        eventually(lambda: b"mine" in _payloads(heard(backend.conversations[0])))
        got = heard(backend.conversations[0])
        assert token not in _payloads(got)
        assert [each for each in got if each[0] != PING or each[1] == b"mine too"] == [
            (PONG, b"mine"),
            (PING, b"mine too"),
        ]
        assert any(opcode == PING and len(payload) == 8 for opcode, payload in got), "the backend is asked, too"


def _payloads(frames) -> list[bytes]:
    return [payload for _, payload in frames]


def test_a_ping_waits_for_the_end_of_a_frame(serve, raw_backend) -> None:
    long = plain(b"z" * 1000)
    backend = raw_backend([switch, long[:500], pause(0.8), long[500:], hold])
    front = serve(backend, "websocket_ping 150ms timeout=3s;")
    with WireClient(front.port()) as client:
        assert client.recv_exactly(len(long)) == long
        assert client.frame()[0] == PING


CLIENT = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1]) as client:
    print(client.recv(), flush=True)
    client.recv()
"""


def test_a_stopped_client_is_gone_within_ping_and_timeout(serve, raw_backend) -> None:
    backend = raw_backend([switch, plain(b"hello", TEXT), hold])
    front = serve(backend, "websocket_ping 300ms timeout=2s;")
    client = subprocess.Popen([sys.executable, "-c", CLIENT, front.url("/", "ws")], stdout=subprocess.PIPE)
    try:
        assert client.stdout.readline() == b"hello\n"
        time.sleep(1)
        assert not backend.conversations[0].ended.is_set()
        os.kill(client.pid, signal.SIGSTOP)
        eventually(lambda: codes(heard(backend.conversations[0])) == [1001])
    finally:
        client.kill()
        client.communicate()
    front.logged(r"^/ 1001 proxy client_ping_timeout pings=\d")
    assert front.error_log().count("did not answer a ping") == (1 if "[info]" in front.error_log() else 0)


def test_a_backend_that_does_not_answer(serve, raw_backend) -> None:
    front = serve(raw_backend([switch, hold]), "websocket_ping 200ms timeout=300ms to=backend;")
    with connect(front.url("/", "ws")) as client, pytest.raises(ConnectionClosed) as ended:
        client.recv(timeout=20)
    assert ended.value.rcvd.code == 1001
    front.logged("upstream did not answer a ping within 0.3s", name="error.log")
    front.logged(r"^/ 1001 proxy backend_ping_timeout")


# -- limits


LIMITS = [
    ("websocket_max_message 1k;", masked(b"x" * 1025), "message_too_big", 1009),
    ("websocket_max_frame 200;", masked(b"x" * 201), "frame_too_big", 1009),
    ("websocket_rate 5r/s burst=4;", masked(b"x") * 6, "rate", 1008),
    ("websocket_rate 300r/m burst=0 from=both;", masked(b"x") * 2, "rate", 1008),
    ("websocket_rate 3r/m;", masked(b"x") * 4, "rate", 1008),
]


def test_a_client_that_exceeds_a_limit(serve, raw_backend) -> None:
    backend = raw_backend([switch, hold])
    locations = [f"location /{at} {{ {PASS} {each[0]} }}" for at, each in enumerate(LIMITS)]
    front = serve(backend, "", "\n".join(locations))
    for at, (_, sent, reason, code) in enumerate(LIMITS):
        with WireClient(front.port(), f"/{at}") as client:
            client.send(sent)
            assert client.answer_close() == code
        talk = backend.conversations[at]
        eventually(lambda talk=talk: codes(heard(talk)) == [1001])
        assert all(opcode == CLOSE or len(payload) == 1 for opcode, payload in heard(talk))
        front.logged(rf"(?m)^/{at} {code} proxy {reason}")
    assert front.error_log().count("client broke a limit") == len(LIMITS)


def test_as_many_messages_as_the_rate_names_may_come_at_once(serve, raw_backend) -> None:
    """Without `burst`: an application that sends a few messages together has not broken a rate of so many."""
    backend = raw_backend([switch, hold])
    rates = ("3r/m", "100r/s", "100r/s burst=99")
    locations = [f"location /{at} {{ {PASS} websocket_rate {rate}; }}" for at, rate in enumerate(rates)]
    front = serve(backend, "", "\n".join(locations))
    for at, count in enumerate((3, 100, 100)):
        with WireClient(front.port(), f"/{at}") as client:
            client.send(masked(b"x") * count + masked(b"", CLOSE))
            eventually(lambda at=at: any(opcode == CLOSE for opcode, _ in heard(backend.conversations[at])))
            assert len(heard(backend.conversations[at])) == count + 1
        front.logged(rf"(?m)^/{at} 1005 client closed")


def test_a_backend_that_exceeds_a_limit(serve, raw_backend) -> None:
    backend = raw_backend([switch, plain(b"x" * 500) + plain(b"x" * 501), hold])
    front = serve(backend, "websocket_max_message 10; websocket_max_message 500 from=backend;")
    with connect(front.url("/", "ws")) as client:
        assert client.recv() == b"x" * 500
        with pytest.raises(ConnectionClosed) as ended:
            client.recv(timeout=20)
    assert ended.value.rcvd.code == 1001
    eventually(lambda: codes(heard(backend.conversations[0])) == [1009])


def test_fragments_add_up(serve, ws_backend) -> None:
    front = serve(ws_backend, "websocket_max_message 1000;")
    with connect(front.url("/", "ws"), compression=None) as client:
        client.send(["x" * 500, "x" * 500])
        assert client.recv() == "x" * 1000
        with pytest.raises(ConnectionClosed) as ended:
            client.send(["x" * 500, "x" * 400, "x" * 200])
            client.recv()
    assert ended.value.rcvd.code == 1009


# -- by the clock


def test_lifetime(serve, ws_backend) -> None:
    front = serve(ws_backend, "websocket_max_lifetime 700ms jitter=20% code=4000;")
    began = time.monotonic()
    with connect(front.url("/", "ws")) as client, pytest.raises(ConnectionClosed) as ended:
        while True:
            client.send("x")
            client.recv()
            time.sleep(0.02)
    assert ended.value.rcvd.code == 4000
    assert 0.5 < time.monotonic() - began < 15
    front.logged(r"^/ 4000 proxy lifetime")
    eventually(lambda: ws_backend.closed and ws_backend.closed[0][0] == 4000)


AUTH = "location = /auth { internal; proxy_pass http://127.0.0.1:{port:auth}; }"


@pytest.mark.parametrize(("status", "code"), [(401, 4401), (403, 4401), (500, 1011)])
def test_reauth(serve, ws_backend, status, code) -> None:
    answers = [200, 200]

    def respond(request) -> bytes:
        answer = answers.pop(0) if answers else status
        return f"HTTP/1.1 {answer} X\r\nContent-Length: 2\r\n\r\nok".encode()

    judge = HttpEcho(respond=respond)
    front = serve(ws_backend, "websocket_reauth 200ms /auth code=4401;", AUTH, auth=judge.port)
    cookie = {"Cookie": "who=me"}
    where = front.url("/room?x=1", "ws")
    with connect(where, additional_headers=cookie) as client, pytest.raises(ConnectionClosed) as ended:
        while True:
            client.send("x")
            client.recv()
            time.sleep(0.02)
    assert ended.value.rcvd.code == code
    assert len(judge.requests) == (3 if status != 500 else 5)
    assert judge.requests[0].header("Cookie") == "who=me"
    assert judge.requests[0].header("Upgrade") is None
    front.logged(rf"^/room\?x=1 {code} proxy reauth")
    eventually(lambda: ws_backend.closed and ws_backend.closed[0][0] == 1001)


def test_what_cannot_be_meant(proxy) -> None:
    wrong = (
        "websocket_ping 0;",
        "websocket_ping 1s to=me;",
        "websocket_ping 1s 2s;",
        "websocket_rate 5;",
        "websocket_rate 5r/h;",
        "websocket_max_message 1x;",
        "websocket_max_lifetime 1h jitter=10;",
        "websocket_max_lifetime 1h code=1005;",
        "websocket_reauth 5m;",
        "websocket_reauth 5m auth;",
    )
    locations = "".join(f"location /{at} {{\n{line}\n}}\n" for at, line in enumerate(wrong))
    server = "server { listen 127.0.0.1:{port:front};" + locations + "}"
    refused = proxy.check(in_http("websocket_drain 1s code=7;\n" + server))
    assert refused.code == 1
    for line in ("websocket_drain 1s code=7;", *wrong):
        assert f" {line}\n" in refused.output, refused
    assert refused.output.count("[emerg]") == len(wrong) + 1


def test_masks_and_codes_on_the_wire(serve, raw_backend) -> None:
    """What goes to the backend is masked (`heard` would fail), with a key of its own for each frame."""
    backend = raw_backend([switch, hold])
    front = serve(backend, "websocket_max_lifetime 300ms;")
    with WireClient(front.port()) as client:
        assert client.answer_close() == 1001
    eventually(lambda: heard(backend.conversations[0]) == [(CLOSE, struct.pack("!H", 1001))])


def test_a_slow_reader_is_not_taken_for_a_dead_one(serve, raw_backend) -> None:
    """A ping waits behind what the kernel holds for a client; as long as that gets less, the client is there."""
    backend = raw_backend([switch, plain(b"z" * 2_500_000), hold])
    front = serve(backend, "websocket_ping 100ms timeout=1s;")
    with WireClient(front.port()) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        got, began = len(client.buffer), time.monotonic()
        while got < 2_500_000:
            time.sleep(0.05)
            piece = client.socket.recv(40_000)
            assert piece, f"closed after {got} bytes and {time.monotonic() - began:.1f} s"
            got += len(piece)
        assert time.monotonic() - began > 2
        assert "ping_timeout" not in front.access_log(), front.access_log()


def talk_on(talk) -> None:
    """Messages as fast as they are taken, until nobody takes any."""
    data = plain(b"z" * 4096, TEXT) * 16
    talk.socket.settimeout(20)
    while True:
        talk.socket.sendall(data)


def test_a_slow_reader_of_a_talkative_backend_stays(serve, raw_backend) -> None:
    """What the kernel holds for it never gets less, and hardly ever is there room for a ping."""
    front = serve(raw_backend([switch, talk_on]), "websocket_ping 100ms timeout=1s;")
    with WireClient(front.port()) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        began = time.monotonic()
        while time.monotonic() - began < 3:
            time.sleep(0.03)
            assert client.socket.recv(30_000), f"closed after {time.monotonic() - began:.1f} s"
        assert not front.access_log()


def test_who_takes_nothing_is_gone_and_nobody_else_is_blamed(serve, raw_backend) -> None:
    """The backend talks on and answers no ping in time: what it says is not read while the client takes nothing."""
    front = serve(raw_backend([switch, pause(0.3), talk_on]), "websocket_ping 200ms timeout=500ms to=both;")
    with WireClient(front.port()) as client:
        front.logged(r"^/ 1001 proxy client_ping_timeout")
        assert client.socket.fileno() >= 0
    assert "upstream did not answer" not in front.error_log()


def test_who_leaves_the_connection_open_after_goodbye(serve, raw_backend) -> None:
    backend = raw_backend([switch, plain(struct.pack("!H", 1000), CLOSE), hold])
    front = serve(backend, "")
    with WireClient(front.port()) as client:
        assert client.answer_close() == 1000
        assert client.closed(), "within websocket_close_timeout"
    front.logged(r"^/ 1000 backend closed")
