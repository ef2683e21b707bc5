"""bench/loadgen.c against itself, against implementations by others, and against servers that get it wrong."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.server import serve

from harness.load import load, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module", name="load")
def load_module() -> Any:
    return load()


@pytest.fixture(scope="module")
def loadgen(load: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load.build(tmp_path_factory.mktemp("loadgen"))


@pytest.fixture(scope="module")
def backend(load: Any, loadgen: Any) -> Iterator[int]:
    with load.Backend(loadgen) as running:
        yield running.port


@pytest.fixture
def drive(load: Any, loadgen: Any) -> Callable[..., Any]:
    """All steps of a client; what it measured."""

    def steps(workload: str, port: int, **options: Any) -> Any:
        with load.Client(loadgen, workload, port, **options) as client:
            client.ready()
            return client.go()

    return steps


@pytest.mark.parametrize("size", [8, 64, 125, 126, 65535, 65536, 1_000_000])
def test_tunnels_carry_messages_of_every_frame_format(drive: Callable[..., Any], backend: int, size: int) -> None:
    result = drive("tunnels", backend, connections=5, size=size, warmup=5, count=50)
    assert (result.count, result.complete) == (50, True)
    assert 0 < result.p50_us <= result.p99_us <= result.max_us


@pytest.mark.parametrize("workload", ["handshakes", "requests", "visits"])
def test_makes_exactly_as_many_transactions_as_asked(drive: Callable[..., Any], backend: int, workload: str) -> None:
    assert drive(workload, backend, connections=4, warmup=3, count=101).count == 101


def test_idle_tunnels_are_more_than_open_at_once(drive: Callable[..., Any], backend: int) -> None:
    assert drive("idle", backend, connections=200).count == 200


def test_ends_when_the_time_is_up(drive: Callable[..., Any], backend: int) -> None:
    result = drive("tunnels", backend, count=10_000_000, seconds=1)
    assert not result.complete
    assert 1 <= result.seconds < 3


@pytest.mark.parametrize("tls", [False, True])
def test_the_client_gets_on_with_a_server_by_others(
    drive: Callable[..., Any], loadgen: Any, authority: Any, tls: bool
) -> None:
    if tls and not loadgen.tls:
        pytest.skip("no OpenSSL headers")
    context = None
    if tls:
        pair = authority.issue("bench.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)

    def echo(connection: Any) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, ssl=context, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        tunnels = drive("tunnels", port, connections=3, size=70_000, count=9, tls=tls)
        handshakes = drive("handshakes", port, connections=2, count=6, tls=tls)
        server.shutdown()
    assert (tunnels.count, handshakes.count) == (9, 6)
    assert tunnels.tls.startswith("TLSv1.3") is tls


def test_the_backend_gets_on_with_a_client_by_others(backend: int) -> None:
    with connect(f"ws://127.0.0.1:{backend}/", compression=None, max_size=None) as client:
        for message in ("text", b"bytes", b"x" * 300_000):
            client.send(message)
            assert client.recv() == message
        assert client.ping().wait(5)
        client.close(1001, "enough")
        assert client.close_code == 1001


def test_the_backend_refuses_a_key_without_an_upgrade(backend: int) -> None:
    with socket.create_connection(("127.0.0.1", backend), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_the_backend_accepts_the_key_of_the_rfc(backend: int) -> None:
    with socket.create_connection(("127.0.0.1", backend), timeout=5) as client:
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in client.recv(1000)


class Spoiler:
    """Relays to `port` until the backend's answers hold `find`, which it replaces by something as long."""

    def __init__(self, port: int, find: bytes, replace: bytes) -> None:
        self._backend, self._find, self._replace = port, find, replace

    def __enter__(self) -> int:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the client gives up, which is the point
            client, _ = self._listener.accept()
            with client, socket.create_connection(("127.0.0.1", self._backend), timeout=5) as backend:
                client.settimeout(5)
                while request := client.recv(65536):
                    backend.sendall(request)
                    client.sendall(backend.recv(65536).replace(self._find, self._replace))


@pytest.mark.parametrize(
    ("workload", "find", "replace", "complaint"),
    [
        ("tunnels", b"101 Switching", b"200 Switching", 'no 101 but "HTTP/1.1 200'),
        ("tunnels", b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x", "wrong Sec-WebSocket-Accept"),
        ("tunnels", b"Upgrade: websocket\r\n", b"", "without Upgrade"),
        ("tunnels", b"\x00\x00\x01\x00\x00\x00", b"\x00\x00\x02\x00\x00\x00", "differs from what was sent"),
        ("tunnels", b"\x82\x40", b"\x82\x3f", "an echo of 63 bytes"),
        ("tunnels", b"\x82\x40", b"\x81\x40", "first byte 0x81"),
        ("handshakes", b"\x88\x02", b"\x8a\x02", "no close frame"),
        ("requests", b"200 OK", b"502 NO", 'no 200 but "HTTP/1.1 502 NO"'),
        ("requests", b"Content-Length: 200", b"Content-Length: 199", "no Content-Length of 200"),
        ("visits", b"xxx\n", b"xxy\n", "a wrong body"),
    ],
)
def test_notices_a_proxy_that_alters_what_it_carries(
    load: Any, drive: Callable[..., Any], backend: int, workload: str, find: bytes, replace: bytes, complaint: str
) -> None:
    with Spoiler(backend, find, replace) as port, pytest.raises(load.LoadFailed) as failure:
        drive(workload, port, count=3)
    assert complaint in str(failure.value)


def test_says_when_nobody_listens(load: Any, drive: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(load.LoadFailed, match="Connection refused"):
        drive("tunnels", port, count=3)


def test_says_when_there_are_no_websockets_over_http2(load: Any, drive: Callable[..., Any], proxy: Any) -> None:
    from harness.proxy import in_http

    front = proxy(in_http("server { listen 127.0.0.1:{port:front}; http2 on; return 200 ok; }"))
    with pytest.raises(load.LoadFailed, match="does not offer WebSockets over HTTP/2"):
        drive("tunnels", front.port(), connections=3, streams=3)
