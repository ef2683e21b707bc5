"""How WebSockets end when somebody is gone, or breaks the rules: what each side is told, and what the logs say."""

import signal
import struct
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import half_close, hold, pause, read_until_end, reset
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import CLOSE, TEXT, WireClient, codes, heard, masked, plain, switch

FORMAT = (
    "log_format ws '$request_uri $status $websocket_close_code $websocket_close_from $websocket_end_reason "
    "$websocket_frames_in/$websocket_frames_out $websocket_messages_in/$websocket_messages_out "
    "$websocket_bytes_in/$websocket_bytes_out $websocket_compressed';\naccess_log access.log ws;\n"
)
LOCATIONS = """
    websocket_close_timeout 300ms;
    location / { websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
    location /slow { websocket auto; proxy_pass http://127.0.0.1:{port:back}; websocket_close_timeout 2s; }
    location /old {
        websocket auto; proxy_pass http://127.0.0.1:{port:back};
        websocket_close_timeout 2s; websocket_max_lifetime 100ms;
    }
    location /page { return 200 ok; }
    location = /favicon.ico { return 204; }
    location /idle { websocket auto; proxy_pass http://127.0.0.1:{port:back}; proxy_read_timeout 300ms; }
    location /nginx {
        access_log access.log;
        proxy_pass http://127.0.0.1:{port:back};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
    }
"""
SERVER = "server { listen 127.0.0.1:{port:front};\n" + LOCATIONS + "}"


@pytest.fixture
def start(proxy, raw_backend):
    """A factory: a proxy before a backend that follows a script after its handshake."""

    def start(*script):
        backend = raw_backend([switch, *script])
        front = proxy(in_http(FORMAT + SERVER), ports={"back": backend.port})
        return front, backend

    return start


@pytest.fixture
def echo(proxy, ws_backend):
    return proxy(in_http(FORMAT + SERVER), ports={"back": ws_backend.port}), ws_backend


def test_a_clean_end_is_counted(echo) -> None:
    front, backend = echo
    with connect(front.url("/clean", "ws"), compression=None) as client:
        for size in (0, 5, 200, 70000):
            client.send("x" * size)
            assert client.recv() == "x" * size
        client.close(4001, "done")
    eventually(lambda: backend.closed == [(4001, "done")])
    front.logged(r"^/clean 101 4001 client closed 5/5 4/4 70205/70205 off$")
    with connect(front.url("/other", "ws")) as client, pytest.raises(ConnectionClosed) as ended:
        client.send("close 4002")
        client.recv()
    assert ended.value.rcvd.code == 4002
    front.logged(r"(?m)^/other 101 4002 backend closed 2/1 1/0 \d+/0 on$")


def test_a_backend_that_is_gone(proxy, raw_backend) -> None:
    hello = [switch, plain(b"hello", TEXT), pause(0.1)]
    backend = raw_backend(hello, [*hello, half_close, pause(3)], [*hello, reset])
    front = proxy(in_http(FORMAT + SERVER), ports={"back": backend.port})
    for way in range(3):
        with connect(front.url(f"/gone{way}", "ws")) as client:
            assert client.recv() == "hello"
            with pytest.raises(ConnectionClosed) as ended:
                client.recv(timeout=20)
            assert ended.value.rcvd.code == 1014
        front.logged(rf"(?m)^/gone{way} 101 1014 proxy backend_lost 1/1 0/1 0/5 off$")


def test_a_backend_that_is_gone_while_the_proxy_leaves(start) -> None:
    """Both are started anew, perhaps: the client is told to come back."""
    front, _ = start(plain(b"hello", TEXT), pause(2), reset)
    with connect(front.url("/leaving", "ws"), proxy=None) as client:
        assert client.recv(20) == "hello"
        front.send_signal(signal.SIGQUIT)
        front.logged("gracefully shutting down", name="error.log")
        with pytest.raises(ConnectionClosed) as ended:
            client.recv(20)
    assert ended.value.rcvd.code == 1012
    front.logged(r"^/leaving 101 1012 proxy backend_lost")


def test_a_backend_that_is_gone_while_the_client_talks(start) -> None:
    front, _ = start(pause(0.2), reset)
    with connect(front.url("/", "ws")) as client, pytest.raises(ConnectionClosed) as ended:
        for _ in range(2000):
            client.send("x" * 100)
            time.sleep(0.001)
    assert ended.value.rcvd.code == 1014


def test_a_backend_that_is_gone_inside_a_frame(start) -> None:
    front, _ = start(plain(b"whole", TEXT), plain(b"y" * 300)[:100])
    with WireClient(front.port(), "/half") as client:
        assert client.recv_all() == plain(b"whole", TEXT) + plain(b"y" * 300)[:100], "nothing is put into a frame"
    front.logged(r"^/half 101 1014 proxy backend_lost")


def test_a_client_that_is_gone(start) -> None:
    front, backend = start(read_until_end)
    for at, how in enumerate(("close", "half_close", "reset")):
        client = WireClient(front.port(), f"/{how}")
        client.send(masked(b"hello", TEXT))
        time.sleep(0.1)
        getattr(client, how)()
        talk = backend.conversations[at]
        eventually(talk.ended.is_set)
        assert heard(talk) == [(TEXT, b"hello"), (CLOSE, struct.pack("!H", 1001))]
        front.logged(rf"(?m)^/{how} 101 1006 client client_lost 1/0 1/0 5/0 off$")
        client.close()


def test_who_said_goodbye_and_gets_no_answer_hears_its_own_code(start) -> None:
    front, _ = start(pause(0.5), half_close, pause(2))
    with WireClient(front.port(), "/bye") as client:
        client.send(masked(b"x" * 200) + masked(struct.pack("!H", 4321), CLOSE))
        assert codes(client.frames_until_end()) == [4321]
    front.logged(r"^/bye 101 4321 client backend_lost")


def test_silence(start) -> None:
    front, backend = start(hold)
    with connect(front.url("/idle", "ws")) as client, pytest.raises(ConnectionClosed) as ended:
        client.recv(timeout=20)
    assert ended.value.rcvd.code == 1001
    eventually(lambda: codes(heard(backend.conversations[0])) == [1001])
    front.logged(r"^/idle 101 1001 proxy idle_timeout")
    front.logged("proxy_read_timeout", name="error.log")


def test_no_end_is_a_failure_of_the_backend(proxy, raw_backend, ws_backend) -> None:
    """One failure would put it aside for a minute: the other one would be asked."""
    hello = [switch, plain(b"hello", TEXT)]
    goodbye = plain(struct.pack("!H", 1011), CLOSE)
    ends = [[goodbye, read_until_end], [half_close, hold], [reset], [masked(b"masked"), hold], [hold], [hold]]
    backend = raw_backend(*([*hello, pause(0.1), *each] for each in ends), [*hello, hold])
    upstream = (
        "upstream back { server 127.0.0.1:{port:back} max_fails=1 fail_timeout=60s;"
        " server 127.0.0.1:{port:other} backup; }\n"
    )
    server = SERVER.replace("http://127.0.0.1:{port:back}", "http://back")
    text = "worker_processes 1;\n" + in_http(FORMAT + upstream + server)
    front = proxy(text, ports={"back": backend.port, "other": ws_backend.port})
    for count, code in enumerate([1011, 1014, 1014, 1002, 1001]):
        with connect(front.url("/idle" if code == 1001 else "/", "ws"), proxy=None) as client:
            assert client.recv(20) == "hello"
            with pytest.raises(ConnectionClosed) as ended:
                client.recv(20)
            assert ended.value.rcvd.code == code, count
    with WireClient(front.port()) as client:
        client.reset()
    front.logged("client_lost")
    with connect(front.url("/", "ws"), proxy=None) as client:
        assert client.recv(20) == "hello"
    assert not ws_backend.handshakes


WRONG = {
    "a reserved bit is set": b"\xc1\x81\0\0\0\0a",
    "the opcode is 0x3": b"\x83\x80\0\0\0\0",
    "a control frame is fragmented": b"\x09\x80\0\0\0\0",
    "a control frame is longer than 125 bytes": b"\x89\xfe\0\x7e\0\0\0\0" + bytes(126),
    "a client's frame is not masked": b"\x81\x01a",
    "a length is not in its shortest form, or has 64 bits": b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0",
    "a continuation continues nothing": b"\x80\x80\0\0\0\0",
}


def test_a_client_that_breaks_the_protocol(start) -> None:
    front, backend = start(read_until_end)
    for at, (wrong, data) in enumerate(WRONG.items()):
        with WireClient(front.port(), f"/{at}") as client:
            client.send(masked(b"good", TEXT) + data + masked(b"never", TEXT))
            client.half_close()
            assert codes(client.frames_until_end()) == [1002]
        talk = backend.conversations[at]
        eventually(lambda talk=talk: codes(heard(talk)) == [1002])
        assert heard(talk) == [(TEXT, b"good"), (CLOSE, struct.pack("!H", 1002))]
        front.logged(f"client broke the WebSocket protocol: {wrong}", name="error.log")
        front.logged(rf"(?m)^/{at} 101 1002 proxy protocol_error 1/0 1/0 4/0 off$")


def test_without_the_directive_nothing_is_looked_at(start) -> None:
    front, backend = start(read_until_end)
    with WireClient(front.port(), "/nginx") as client:
        sent = b"".join(WRONG.values()) + masked(b"text", TEXT)
        client.send(sent)
        eventually(lambda: backend.conversations[0].received.endswith(sent))


def test_a_backend_that_breaks_the_protocol(start) -> None:
    front, backend = start(plain(b"good", TEXT) + masked(b"masked", TEXT), hold)
    with connect(front.url("/wrong", "ws")) as client:
        assert client.recv() == "good"
        with pytest.raises(ConnectionClosed) as ended:
            client.recv(timeout=20)
        assert ended.value.rcvd.code == 1002
    eventually(lambda: codes(heard(backend.conversations[0])) == [1002])
    front.logged("upstream broke the WebSocket protocol: a server's frame is masked", name="error.log")


def test_a_peer_that_never_answers_has_its_time(start) -> None:
    front, _ = start(hold)
    with WireClient(front.port(), "/old") as client:
        began = time.monotonic()
        client.recv_all()  # it reads, and says nothing
        assert 1 < time.monotonic() - began < 15


def test_who_is_inside_a_frame_gets_the_rest_first(start) -> None:
    long = plain(b"z" * 1000)
    front, _ = start(long[:500], pause(0.7), long[500:] + plain(b"never"), read_until_end)
    with WireClient(front.port(), "/slow") as client:
        assert client.recv_exactly(500) == long[:500]
        client.send(b"\x83\x80\0\0\0\0")
        assert client.recv_exactly(504) == long[500:]
        assert codes(client.frames_until_end()) == [1002]
    with WireClient(front.port(), "/") as client:
        assert client.recv_exactly(500) == long[:500]
        client.send(b"\x83\x80\0\0\0\0")
        assert client.recv_all() == b"", "after websocket_close_timeout there is nothing to be said any more"


def test_as_a_browser_sees_it(proxy, raw_backend, browser) -> None:
    hello = [switch, plain(b"hello", TEXT), pause(0.2)]
    backend = raw_backend([*hello, reset], [*hello, read_until_end], [*hello, masked(b"masked"), read_until_end])
    front = proxy(in_http(FORMAT + SERVER), ports={"back": backend.port})
    page = browser.open(front.url("/page", "http"))
    for path, end in (("/gone", "1014 true"), ("/idle", "1001 true"), ("/wrong", "1002 true")):
        page.script(
            """
            window.end = null;
            const socket = new WebSocket("ws://" + location.host + arguments[0]);
            socket.onclose = event => { window.end = event.code + " " + event.wasClean; };
            """,
            path,
        )
        page.wait_until("window.end")
        assert page.script("return window.end") == end
