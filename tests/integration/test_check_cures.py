"""What a rule of `penstock check` complains of does happen, and does not happen after `--fix`.

The configurations are those of `tests/corpus/rules`; each observation is made with real clients and servers, once on
the bad one and once on the one put right.
"""

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from harness.backends import HttpEcho, WebSocketEcho
from harness.proxy import Proxy
from harness.raw import RawClient
from harness.waiting import eventually

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "rules"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
Observe = Callable[[Proxy, Any, Any], object]


def configuration(rule: str, name: str) -> str:
    text = (CORPUS / rule / name).read_text("utf-8")
    for port, place in (("8080", "front"), ("3000", "first"), ("3001", "second")):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{{port:{place}}}")
    return text.replace("listen 8080", "listen {port:front}")


# What can be observed. A WebSocket gives the name of the server that answered, or the status that came instead.


def websocket(path: str, **options: Any) -> Observe:
    def observe(front: Proxy, first: Any, second: Any) -> object:
        try:
            with connect(front.url(path, "ws"), **options) as client:
                client.send("name?")
                return client.recv(timeout=20)
        except InvalidStatus as refused:
            return refused.response.status_code

    return observe


def handshake_header(path: str, name: str, **options: Any) -> Observe:
    """A header of the handshake, as the server gets it."""

    def observe(front: Proxy, first: Any, second: Any) -> object:
        assert websocket(path, **options)(front, first, second) == "first"
        return first.handshakes[-1][1].get(name)

    return observe


def handshake_path(path: str) -> Observe:
    def observe(front: Proxy, first: Any, second: Any) -> object:
        assert websocket(path)(front, first, second) == "first"
        return first.handshakes[-1][0]

    return observe


def request_header(path: str, name: str, headers: dict[str, str] | None = None) -> Observe:
    """A header of an ordinary request, as the server gets it."""

    def observe(front: Proxy, first: Any, second: Any) -> object:
        assert front.get(path, headers).status == 200
        return first.requests[-1].header(name)

    return observe


def connections(front: Proxy, first: Any, second: Any) -> object:
    """How many connections two requests of one client take to the server."""
    with RawClient(front.port()) as client:
        for _ in range(2):
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
    return len({request.connection for request in first.requests})


def asked_about(front: Proxy, first: Any, second: Any) -> object:
    """Upgrade and Connection of the question that auth_request asks."""
    websocket("/ws/")(front, first, second)
    question = second.requests[-1]
    return question.header("Upgrade"), question.header("Connection")


def servers(path: str, headers: list[dict[str, str]]) -> Observe:
    """Which servers tunnels reach that are open together."""

    def observe(front: Proxy, first: Any, second: Any) -> object:
        with ExitStack() as stack:
            uri = front.url(path, "ws")
            clients = [stack.enter_context(connect(uri, additional_headers=each)) for each in headers]
            for client in clients:
                client.send("name?")
            return len({client.recv(timeout=20) for client in clients})

    return observe


def backend_restarts(front: Proxy, first: Any, second: Any) -> object:
    """What a client of Socket.IO notices of it: the code it is closed with, or nothing at all."""
    with connect(front.url("/socket.io/?EIO=4", "ws")) as client:
        client.send("close 1012")
        eventually(lambda: first.connections + second.connections == 2 or client.close_code is not None)
        try:
            client.send("name?")
            client.recv(timeout=20)
        except ConnectionClosed as closed:
            return closed.rcvd and closed.rcvd.code
        return "nothing"


def asked_by_firefox(front: Proxy, first: Any, second: Any) -> object:
    """Which server gets a handshake whose Connection is a list."""
    with RawClient(front.port()) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n")
        assert client.response().status == 101
    return "first" if first.handshakes else "second"


def from_elsewhere(front: Proxy, first: Any, second: Any) -> object:
    """The status of a page for a client with another address than 127.0.0.1."""
    with socket.create_connection(("127.0.0.1", front.port()), 5, ("127.0.0.2", 0)) as client:
        client.sendall(b"GET /nginx_status HTTP/1.0\r\n\r\n")
        return int(client.recv(1000).split()[1])


def file_above(front: Proxy, first: Any, second: Any) -> object:
    """What the path of a folder's neighbour is answered with."""
    with RawClient(front.port()) as client:
        answer = client.send("GET /files../secret HTTP/1.1\r\nHost: x\r\n\r\n").response()
        return answer.status


def added_headers(front: Proxy, first: Any, second: Any) -> object:
    """Headers that a client adds to an answer, and to a request, by line ends in its path."""
    with RawClient(front.port()) as client:
        answer = client.send("GET /old/%0d%0aX-Mine:%201 HTTP/1.1\r\nHost: x\r\n\r\n").response()
    front.get("/api/%0d%0aX-Mine:%201")
    return answer.header("X-Mine"), first.requests[-1].header("X-Mine")


def path_of_page(front: Proxy, first: Any, second: Any) -> object:
    front.get("/page/chat", {"Accept-Language": "de-AT"})
    return first.requests[-1].target


def long_forwarded(count: int) -> list[dict[str, str]]:
    return [{"X-Forwarded-For": f"10.{number}.7.1"} for number in range(count)]


REFUSED = "refused"
FILES = {"html/secret": "not for everybody", "html/public/picture": "for everybody"}
OF_NGINX = {"alias-traversal", "auth-request-upgrade", "decoded-variable"}
"""What Penstock does right by itself."""
OF_PENSTOCK = {"redial-session"}
"""What only Penstock does."""
CURES: dict[str, tuple[Observe, object, object]] = {
    "upgrade-missing": (websocket("/ws/x"), 426, "first"),
    "upgrade-lost": (websocket("/chat/x"), 426, "first"),
    "connection-missing": (websocket("/ws/x"), 426, "first"),
    "handshake-fails": (websocket("/ws/x"), 426, "first"),
    "typographic-quotes": (websocket("/ws/x"), 400, "first"),
    "upgrade-http-1.0": (websocket("/ws/x"), 505, "first"),
    "host-missing": (handshake_header("/ws/x", "Host", additional_headers={}), "chat", "127.0.0.1:{front}"),
    "origin-removed": (
        handshake_header("/ws/x", "Origin", origin="http://elsewhere.test"),
        None,
        "http://elsewhere.test",
    ),
    "slash-mapping": (handshake_path("/live/room"), "/v1room", "/v1/room"),
    "variable-path": (handshake_path("/chat/room?a=b"), "/", "/chat/room?a=b"),
    "if-connection": (asked_by_firefox, "second", "first"),
    "sticky-missing": (servers("/socket.io/?EIO=4", [{}] * 6), 2, 1),
    "ip-hash-behind-proxy": (servers("/ws/x", long_forwarded(12)), 1, 2),
    "redial-session": (backend_restarts, "nothing", 1012),
    "upstream-address": (servers("/ws/x", [{}] * 3), REFUSED, 2),
    "map-lone-word": (websocket("/ws/x"), REFUSED, "first"),
    "upstream-unknown": (websocket("/ws/x"), REFUSED, "first"),
    "proxy-pass-ws": (websocket("/ws/x"), REFUSED, "first"),
}
OF_REQUESTS: dict[str, tuple[Observe, object, object]] = {
    "connection-literal": (request_header("/", "Connection"), "upgrade", None),
    "h2c-upgrade": (request_header("/", "Connection", {"Upgrade": "h2c", "Connection": "Upgrade"}), "upgrade", "close"),
    "keepalive-defeated": (connections, 2, 1),
    "host-port": (request_header("/ws/", "Host", {"Host": "chat.test"}), "chat.test:{front}", "chat.test"),
    "auth-request-upgrade": (asked_about, ("websocket", "upgrade"), (None, None)),
    "alias-traversal": (file_above, 200, 404),
    "decoded-variable": (added_headers, ("1", "1"), (None, None)),
    "map-captures": (path_of_page, "/de/de", "/de/chat"),
    "status-public": (from_elsewhere, 200, 403),
}


def observed(launch: Any, text: str, observe: Observe, first: Any, second: Any) -> object:
    ports = {"first": first.port, "second": second.port}
    front = launch(text, ports=ports, files=FILES)
    seen = observe(front, first, second)
    return json.loads(json.dumps(seen).replace(str(front.port()), "{front}"))


def as_json(value: object) -> object:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("rule", CURES)
def test_websockets(rule: str, proxy: Any) -> None:
    observe, before, after = CURES[rule]
    with WebSocketEcho("first") as first, WebSocketEcho("second") as second:
        if before is REFUSED:
            proxy.refuses(configuration(rule, "bad.conf"), ports={"first": first.port, "second": second.port})
        else:
            seen = observed(proxy, configuration(rule, "bad.conf"), observe, first, second)
            assert seen == before
        assert observed(proxy, configuration(rule, "fixed.conf"), observe, first, second) == after


@pytest.mark.parametrize("rule", OF_REQUESTS)
def test_requests(rule: str, proxy: Any, request: pytest.FixtureRequest) -> None:
    observe, before, after = OF_REQUESTS[rule]
    if rule in OF_NGINX:
        proxy = request.getfixturevalue("nginx")
    for name, expected in (("bad.conf", before), ("fixed.conf", after)):
        with HttpEcho("first") as first, HttpEcho("second") as second:
            assert observed(proxy, configuration(rule, name), observe, first, second) == as_json(expected), name


@pytest.mark.parametrize("rule", sorted({*CURES, *OF_REQUESTS, "timeout-default", "timeout-wrong"} - OF_PENSTOCK))
def test_nginx_accepts_what_is_put_right(rule: str, nginx: Any) -> None:
    done = nginx.check(configuration(rule, "fixed.conf"), ports={"first": 3000, "second": 3001})
    assert done.code == 0, done.output
