"""Clients that hold every connection, or every descriptor, and ask for nothing: others are served all the same."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.backends import hold, read_head, until
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.raw import RawClient
from harness.waiting import eventually
from harness.wire import TEXT, WireClient, masked, plain, switch

MOST = 8
FRONT = "worker_processes 1;\n{value:main}\n" + in_http(
    """
    client_header_timeout 60s;
    keepalive_timeout 60s;
    lingering_close always;
    lingering_time 60s;
    lingering_timeout 60s;
    server {
        listen 127.0.0.1:{port:plain};
        listen 127.0.0.1:{port:proxied} proxy_protocol;
        listen 127.0.0.1:{port:tls} ssl;
        ssl_certificate {value:crt};
        ssl_certificate_key {value:key};
        http2 on;
        location / { return 200 ok; }
        location /back { proxy_pass http://127.0.0.1:{port:back}; }
        location /ws { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
    }
    server { listen 127.0.0.1:{port:old}; return 200 ok; }
    """
).replace("events { }", "events { worker_connections {value:most}; }")


@pytest.fixture
def start(proxy, raw_backend, authority):
    pair = authority.issue("localhost")

    def start(*scripts, most: int = MOST, main: str = "", expect=()):
        backend = raw_backend(*(scripts or ([hold],)))
        values = {"crt": pair.certificate, "key": pair.key, "most": str(most), "main": main}
        front = proxy(FRONT, ports={"back": backend.port}, values=values, expect=expect)
        front.backend = backend
        return front

    return start


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def hello() -> bytes:
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def said(port: str, data: bytes, answer: bytes = b""):
    """Sends something, waits for what must come, and holds its tongue."""

    def connect(front, _context) -> RawClient:
        client = RawClient(front.port(port))
        client.send(data)
        if answer:
            client.recv_until(answer)
        return client

    return connect


def over_tls(data: bytes, answer: bytes = b""):
    def connect(front, context) -> RawClient:
        context.set_alpn_protocols(["http/1.1"])
        client = RawClient(front.port("tls"), tls=context)
        client.send(data)
        if answer:
            client.recv_until(answer)
        return client

    return connect


def http2(port: str, *, asks: bool):
    def connect(front, context) -> Http2Client:
        client = Http2Client(front.port(port), tls=context if port == "tls" else None)
        if asks:
            assert client.get("/").status == 200
        return client

    return connect


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
SILENT = {
    "nothing": said("plain", b""),
    "nothing, where HTTP/2 is not spoken": said("old", b""),
    "half a line": said("old", b"GET / HT"),
    "half a head": said("plain", b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: "),
    "the second head is half": said("plain", GET + b"GET / ", b"ok"),
    "kept": said("plain", GET, b"ok"),
    "answered, and not closed": said("plain", GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"ok"),
    "half a PROXY header": said("proxied", b"PROXY TCP4 1.2"),
    "nothing behind a PROXY header": said("proxied", b"PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r\n"),
    "TLS, nothing": said("tls", b""),
    "TLS, half a hello": said("tls", hello()[:100]),
    "TLS, a hello and no more": said("tls", hello(), b"\x16\x03\x03"),
    "TLS, nothing inside": over_tls(b""),
    "TLS, half a head": over_tls(b"GET / HT"),
    "TLS, kept": over_tls(GET, b"ok"),
    "half a preface": said("plain", PREFACE[:10]),
    "a preface": said("plain", PREFACE + SETTINGS, SETTINGS[:4]),
    "HTTP/2, half a head": said("plain", PREFACE + SETTINGS + b"\0\0\x40\1\4\0\0\0\1abc", SETTINGS[:4]),
    "HTTP/2, kept": http2("plain", asks=True),
    "HTTP/2 over TLS, nothing": http2("tls", asks=False),
    "HTTP/2 over TLS, kept": http2("tls", asks=True),
}


@contextlib.contextmanager
def held(front, context, how: str, count: int) -> Iterator[list]:
    with ExitStack() as stack:
        yield [stack.enter_context(SILENT[how](front, context)) for _ in range(count)]


@pytest.mark.parametrize("how", SILENT)
def test_who_asks_for_nothing_makes_room(start, authority, how: str) -> None:
    front = start()
    with held(front, authority.client_context(), how, MOST), ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(RawClient(front.port("plain"), timeout=5.0))
            assert client.send(GET).response().status == 200
        front.logged(rf"\[warn\].*: {MOST} worker_connections are not enough, reusing connections", name="error.log")


def test_the_oldest_goes_first(start, authority) -> None:
    front = start()
    with held(front, authority.client_context(), "kept", MOST) as clients, RawClient(front.port("plain")) as other:
        assert other.send(GET).response().status == 200
        assert clients[0].recv_all() == b""
        for client in clients[1:]:
            assert client.send(GET).response().status == 200, "the others are kept"


def test_requests_and_tunnels_stay(start, authority) -> None:
    go = threading.Event()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"
    echo = [switch, plain(b"hello", TEXT), until(go), plain(b"still", TEXT), hold]
    late = [read_head, until(go), answer]
    front = start(echo, echo, late, late)
    with ExitStack() as stack:
        wires = [stack.enter_context(WireClient(front.port("plain"), "/ws"))]
        h2 = stack.enter_context(Http2Client(front.port("plain")))
        stream = h2.websocket("/ws")
        active = stack.enter_context(RawClient(front.port("plain")))
        active.send(b"GET /back HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: len(front.backend.conversations) == 3)
        second = stack.enter_context(Http2Client(front.port("plain")))
        assert second.get("/").status == 200  # settings have been agreed on: nothing comes between its frames
        pending = second.open("/back")
        eventually(lambda: len(front.backend.conversations) == 4)
        second.raw(1, 0, 3, b"\x82")  # a head that does not come: the connection has a stream
        with held(front, authority.client_context(), "half a head", MOST):
            for _ in range(10):
                with RawClient(front.port("plain"), timeout=5.0) as client:
                    assert client.send(GET).response().status == 200
        go.set()
        assert wires[0].frame() == (TEXT, b"hello") and wires[0].frame() == (TEXT, b"still")
        wires[0].send(masked(b"x", TEXT))
        assert h2.hear(stream) == (TEXT, b"hello") and h2.hear(stream) == (TEXT, b"still")
        assert active.response().body == b"late"
        assert second.read(pending).text == "late"


def test_where_everybody_is_at_work_nobody_goes(start) -> None:
    go = threading.Event()
    late = [read_head, until(go), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"]
    front = start(late, most=4, expect=("worker_connections are not enough$",))
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(front.port("plain"))) for _ in range(4)]
        for client in clients:
            client.send(b"GET /back HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: len(front.backend.conversations) == 4)
        with RawClient(front.port("plain")) as other, contextlib.suppress(ConnectionResetError):
            assert other.recv_all() == b""
        go.set()
        assert [client.response().body for client in clients] == [b"late"] * 4
    front.logged(r"\[alert\].*: 4 worker_connections are not enough$", name="error.log")


@pytest.mark.parametrize("how", ["nothing", "kept", "half a head", "TLS, kept"])
def test_descriptors_run_out(start, authority, how: str) -> None:
    """With those of `worker_rlimit_nofile` in use, somebody new is let in, and its backend is connected to."""
    answer = [read_head, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback"]
    front = start(answer, most=1000, main="worker_rlimit_nofile 64;")
    with held(front, authority.client_context(), how, 100), ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(RawClient(front.port("plain"), timeout=5.0))
            client.send(b"GET /back HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.response().body == b"back"
    front.logged(r"\[warn\].*: open files are not enough .*, reusing connections", name="error.log")




FILES = "worker_processes 1;\nworker_rlimit_nofile 64;\n" + in_http(
    """
    client_body_buffer_size 1k;
    keepalive_timeout 60s;
    server {
        listen 127.0.0.1:{port:front};
        root {dir}/www;
        location /list/ { autoindex on; }
        location /packed/ { gzip_static on; }
        location /who/ { auth_basic x; auth_basic_user_file {dir}/users; alias {dir}/www/; }
        location /up { client_body_in_file_only on; proxy_pass http://127.0.0.1:{port:back}; }
        location /logged { access_log {dir}/$arg_name.log; return 200 logged; }
    }
    """
)
ASKED = {
    "a file": b"GET /list/file HTTP/1.1\r\nHost: a\r\n\r\n",
    "a list": b"GET /list/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a packed file": b"GET /packed/file HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
    "a file of users": b"GET /who/list/file HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpw\r\n\r\n",
    "a body in a file": b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n" + bytes(4000),
    "a log": b"GET /logged?name=x HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("what", ASKED)
def test_files_are_opened_where_descriptors_have_run_out(proxy, http_backend, what: str) -> None:
    """However many are left when a request comes: none, or a few."""
    files = {"www/list/file": "text", "www/packed/file.gz": "packed", "users": "u:{PLAIN}p\n"}
    front = proxy(FILES, ports={"back": http_backend.port}, files=files)
    with RawClient(front.port("front"), timeout=10.0) as client, ExitStack() as stack:
        for count in range(100):
            silent = stack.enter_context(RawClient(front.port("front")))
            silent.send(b"GET / HT")
            # Who has not asked yet is the oldest that may go: it begins while there are some left.
            if count > 25:
                assert client.send(ASKED[what]).response().status == 200, count
    assert "24: Too many" not in front.error_log().replace("(24: Too many open files), reusing", "")
    if what == "a log":
        # A request is logged when its answer has gone.
        eventually(lambda: (front.directory / "x.log").read_text().count("name=x") == 74)
