"""The configurations of well-known pages carry real clients to real servers, http and ws on one port.

They stand in `tests/corpus/configs/seeds` as their pages have them. A seed is completed only where its page
says `...` or leaves off, and gets free ports and real certificates in place of the page's own.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from harness.backends import AsgiBackend, HttpEcho, WebSocketEcho
from harness.binary import penstock
from harness.ports import free_port
from harness.raw import RawClient, raw_http, split_responses

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "configs" / "seeds"
LISTEN = "listen 127.0.0.1:{port:front};"
GROUP = "upstream backend { server 127.0.0.1:{port:backend}; }"
ON_3000 = {"localhost:3000": "localhost:{port:backend}"}
ON_8080 = {"localhost:8080": "localhost:{port:backend}"}
OWN_TLS = {
    "listen 8020": "listen 127.0.0.1:{port:front}",
    "127.0.0.1:8080": "127.0.0.1:{port:backend}",
    "/etc/nginx/ssl/nginx.crt": "{value:certificate}",
    "/etc/nginx/ssl/nginx.key": "{value:key}",
}
# What the post on timeouts means by its dots, from the example it shows before.
MAP = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }"
SERVER = f"""server {{
    {LISTEN}
    location /ws/ {{
        proxy_pass http://127.0.0.1:{{port:backend}};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }}
}}"""


@dataclass(frozen=True, slots=True)
class Seed:
    """A page's text and what it leaves to the reader: `before` and `after` it, and a text for each `...`."""

    name: str
    target: str
    before: str = ""
    after: str = ""
    dots: tuple[str, ...] = ()
    replace: Mapping[str, str] = field(default_factory=dict)

    def text(self, **changes: str) -> str:
        """A whole configuration whose line numbers are the page's; `changes` are old=new timeouts."""
        text = (CORPUS / f"{self.name}.conf").read_text("utf-8")
        for line in self.dots:
            text = text.replace("...", line, 1)
        assert "..." not in text
        for old, new in {**self.replace, **changes}.items():
            assert old in text
            text = text.replace(old, new)
        return f"{self.before}{text}{self.after}\n"


IN_SERVER = f"http {{ {GROUP} server {{ {LISTEN} "
SEEDS = {
    seed.name: seed
    for seed in (
        Seed("nginx-org-simple", "/chat/room", IN_SERVER, "} }"),
        Seed("nginx-org-map", "/chat/room", "", f"{GROUP} }}", (LISTEN,)),
        Seed("nginx-org-cn-simple", "/chat/room", IN_SERVER, "} }"),
        Seed("nginx-org-cn-map", "/chat/room", "", f"{GROUP} }}", (LISTEN,)),
        Seed("map-at-http-level", "/websocket", "http { ", "}", (LISTEN,), ON_3000),
        Seed("nginx-blog-location", "/wsapp/x", IN_SERVER.replace("backend {", "wsbackend {"), "} }"),
        Seed("nginx-blog-ssl", "/any/where", replace=OWN_TLS),
        Seed("habr-simple", "/ws/x", f"http {{ server {{ {LISTEN} ", "} }", (), ON_8080),
        Seed("habr-map", "/ws/x", "", "}", (LISTEN,), ON_8080),
        Seed("habr-timeout", "/ws/x", "", "", (MAP, SERVER)),
    )
}
BROKEN = Seed("two-backends-broken", "/websocket", "http { ", "}", (LISTEN,))
WITH_MAP = [name for name in SEEDS if "simple" not in name and name != "nginx-blog-location"]


class Front:
    """A seed that runs; clients speak TLS where its page does."""

    def __init__(self, proxy: Any, authority: Any, seed: Seed) -> None:
        self._proxy, self._authority, self._seed = proxy, authority, seed
        self.target = seed.target
        self._tls = authority.client_context() if seed.replace is OWN_TLS else None
        self.running: Any = None

    def start(self, **ports: int) -> "Front":
        pair = self._authority.issue("localhost")
        values = {"certificate": pair.certificate, "key": pair.key}
        self.running = self._proxy(self._seed.text(), ports=ports, values=values)
        return self

    def websocket(self, **options: Any) -> ClientConnection:
        """A client of the `websockets` library at the seed's location."""
        scheme = "wss" if self._tls else "ws"
        if self._tls is not None:
            options.update(ssl=self._tls, server_hostname="localhost")
        return connect(self.running.url(self.target, scheme), **options)

    def get(self, target: str, headers: str = "") -> Any:
        """A plain GET on a connection of its own."""
        with RawClient(self.running.port(), tls=self._tls) as client:
            client.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
            return client.response()


@pytest.fixture
def front(proxy: Any, authority: Any, request: pytest.FixtureRequest) -> Front:
    """The seed that parametrizes the test, not yet started."""
    return Front(proxy, authority, SEEDS[request.param])


def every(names: Iterable[str] = SEEDS) -> Any:
    """Runs a test with each seed."""
    return pytest.mark.parametrize("front", list(names), indirect=True)


def echoes(client: ClientConnection) -> None:
    """Text, binary, the empty message, one larger than any buffer on the way; in both directions."""
    for message in ("hello", "", "¡grüße, 世界!", b"\0\xff", b"x" * 300_000, "y" * 66_000):
        client.send(message)
        assert client.recv(timeout=10) == message


@every()
def test_websockets_server(front: Front) -> None:
    with WebSocketEcho(max_size=None) as backend:
        front.start(backend=backend.port)
        with front.websocket(max_size=None) as client, front.websocket(max_size=None) as other:
            echoes(client)
            echoes(other)
            client.send("close 4001")
            with pytest.raises(ConnectionClosedError) as ended:
                client.recv(timeout=20)
            assert ended.value.rcvd is not None
            assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (4001, "asked for")
            echoes(other)
        path, headers = backend.handshakes[0]
        assert path == front.target
        assert headers["Upgrade"] == "websocket"
        assert headers["Connection"] == "upgrade"


@every()
@pytest.mark.parametrize("implementation", ["websockets-sansio", "wsproto"])
def test_uvicorn_serves_http_and_ws_through_one_port(front: Front, implementation: str) -> None:
    with AsgiBackend("app", implementation) as backend:
        front.start(backend=backend.port)
        with front.websocket(max_size=None) as client:
            client.send("name?")
            assert client.recv(timeout=20) == "app"
            answer = front.get(front.target)
            assert answer.status == 200
            assert f'"path": "{front.target}"' in answer.text
            echoes(client)


@every(WITH_MAP)
def test_the_map_tells_requests_from_handshakes(front: Front) -> None:
    with HttpEcho() as backend:
        front.start(backend=backend.port)
        front.get(front.target)
        front.get(front.target, "Upgrade: websocket\r\n")
        plain, upgrade = backend.requests
        assert (plain.header("Connection"), plain.header("Upgrade")) == ("close", None)
        assert (upgrade.header("Connection"), upgrade.header("Upgrade")) == ("upgrade", "websocket")
        assert plain.line.endswith("HTTP/1.1")


def test_the_handshake_of_the_tutorial(proxy: Any) -> None:
    """The request and the response that the tutorial prints, byte for byte where it says what they are."""
    with WebSocketEcho() as backend:
        front = proxy(SEEDS["map-at-http-level"].text(), ports={"backend": backend.port})
        with RawClient(front.port()) as client:
            client.send(
                "GET /websocket HTTP/1.1\r\n"
                "Host: example.com\r\n"
                "Upgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Origin: http://example.com\r\n"
                "Sec-WebSocket-Version: 13\r\n"
                "\r\n"
            )
            answer = client.response()
        assert (answer.status, answer.reason) == (101, "Switching Protocols")
        assert answer.header("Upgrade") == "websocket"
        assert (answer.header("Connection") or "").lower() == "upgrade"
        assert answer.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        _, headers = backend.handshakes[0]
        assert headers["Host"] == "example.com"
        assert headers["Origin"] == "http://example.com"


def test_one_certificate_for_https_and_wss(proxy: Any, authority: Any) -> None:
    with AsgiBackend() as backend:
        front = Front(proxy, authority, SEEDS["nginx-blog-ssl"]).start(backend=backend.port)
        assert front.get("/page").status == 200
        with front.websocket() as client:
            echoes(client)
        (refused,) = split_responses(raw_http(front.running.port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        assert refused.status == 400, "plain HTTP on the TLS port"


# Two backends


@pytest.fixture
def two() -> Iterator[tuple[WebSocketEcho, WebSocketEcho]]:
    with WebSocketEcho("first") as first, WebSocketEcho("second") as second:
        yield first, second


def repaired() -> str:
    """The tutorial's example of two backends with its three mistakes put right."""
    text = BROKEN.text()
    for wrong, right in (
        ("192.168.3.1:3000;", "server 127.0.0.1:{port:first};"),
        ("192.168.3.2:300;", "server 127.0.0.1:{port:second};"),
        ("close; }", "}"),
        ("http://upstream;", "http://backend;"),
    ):
        assert text.count(wrong) == 1
        text = text.replace(wrong, right)
    return text


def names(front: Any, count: int) -> list[str]:
    """Which backends `count` tunnels reach that are open at the same time."""
    with ExitStack() as stack:
        uri = front.url("/websocket", "ws")
        clients = [stack.enter_context(connect(uri)) for _ in range(count)]
        for client in clients:
            client.send("name?")
        return [str(client.recv(timeout=20)) for client in clients]


def test_two_backends_share_the_tunnels(proxy: Any, two: tuple[WebSocketEcho, WebSocketEcho]) -> None:
    front = proxy(repaired(), ports={"first": two[0].port, "second": two[1].port})
    assert sorted(names(front, 6)) == ["first"] * 3 + ["second"] * 3


def test_a_backend_that_is_down_is_passed_over(proxy: Any, two: tuple[WebSocketEcho, WebSocketEcho]) -> None:
    front = proxy(repaired(), ports={"first": free_port(), "second": two[1].port})
    assert names(front, 4) == ["second"] * 4


def test_the_broken_example_is_refused(proxy: Any) -> None:
    refusal = proxy.refuses(BROKEN.text())
    assert refusal.code == 1
    assert re.search(r'\[emerg\].*"192\.168\.3\.1:3000" in \S*nginx\.conf:2\b', refusal.output)


@pytest.mark.skipif(penstock().reference, reason="nginx stops at the first mistake")
def test_the_broken_example_is_refused_for_every_mistake_at_its_line(proxy: Any) -> None:
    said = proxy.refuses(BROKEN.text()).output
    for line, mistake in (
        (2, r"192\.168\.3\.1:3000"),
        (3, r"192\.168\.3\.2:300"),
        (9, r"map"),
        (14, r"upstream"),
    ):
        assert re.search(rf"\[emerg\].*{mistake}.* in \S*nginx\.conf:{line}\b", said), said
    assert "server 192.168.3.1:3000" in said, "the hint shows the missing word"
    assert 'take "close;" out' in said, "the stray word is explained"
    assert 'did you mean the upstream "backend"' in said, "the group that exists is named"
    assert len(re.findall(r"^penstock: \[emerg\]", said, re.MULTILINE)) == 4, said


# Timeouts. The pages' 60, 950 and 86400 seconds are shortened, the tunnels' lives with them.


def silent(front: Any, seconds: float) -> float:
    """How long a tunnel lives in which nobody speaks; asserts that it ends without a close frame."""
    with connect(front.url("/ws/x", "ws"), ping_interval=None) as client:
        started = time.monotonic()
        with pytest.raises(ConnectionClosed) as ended:
            client.recv(timeout=seconds)
        assert ended.value.rcvd is None
        return time.monotonic() - started


def test_the_timeout_ends_a_silent_tunnel(proxy: Any, ws_backend: WebSocketEcho) -> None:
    text = SEEDS["habr-timeout"].text
    front = proxy(text(**{"950s": "1s"}), ports={"backend": ws_backend.port})
    assert 0.9 < silent(front, 20) < 15


def test_a_raised_timeout_keeps_it_longer(proxy: Any, ws_backend: WebSocketEcho) -> None:
    text = SEEDS["habr-timeout"].text
    front = proxy(text(**{"950s": "3s"}), ports={"backend": ws_backend.port})
    assert 2.9 < silent(front, 20) < 15


def test_any_message_starts_the_timeout_anew(proxy: Any, ws_backend: WebSocketEcho) -> None:
    front = proxy(SEEDS["habr-timeout"].text(**{"950s": "3s"}), ports={"backend": ws_backend.port})
    with connect(front.url("/ws/x", "ws"), ping_interval=None) as client:
        for _ in range(3):
            time.sleep(1.2)
            client.send("still here")
            assert client.recv(timeout=20) == "still here"


def test_pings_of_the_backend_keep_a_silent_tunnel_open(proxy: Any) -> None:
    with WebSocketEcho(ping_interval=0.4) as backend:
        front = proxy(SEEDS["habr-timeout"].text(**{"950s": "2s"}), ports={"backend": backend.port})
        with connect(front.url("/ws/x", "ws"), ping_interval=None) as client:
            time.sleep(4.5)
            client.send("after a silence of two timeouts")
            assert client.recv(timeout=20) == "after a silence of two timeouts"


def test_the_default_timeout_is_longer_than_a_short_silence(proxy: Any, ws_backend: WebSocketEcho) -> None:
    front = proxy(SEEDS["habr-map"].text(), ports={"backend": ws_backend.port})
    with connect(front.url("/ws/x", "ws"), ping_interval=None) as client:
        time.sleep(2.5)
        client.send("hello")
        assert client.recv(timeout=20) == "hello"
