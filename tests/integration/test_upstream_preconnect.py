"""`preconnect`: WebSocket handshakes find connections to their backend that are open already."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from conftest import Launcher
from harness.backends import RawBackend, WebSocketEcho, read_head, read_until_end
from harness.backends.scripted import Conversation
from harness.proxy import Proxy, in_http
from harness.waiting import eventually

FRONT = """
    log_format up '$uri $status $upstream_addr $upstream_connect_time';
    access_log access.log up;
    upstream app {{ server 127.0.0.1:{{port:back}} {server}; {preconnect} }}
    server {{
        listen 127.0.0.1:{{port:front}};
        location / {{ proxy_pass http://app; websocket auto; }}
        location /plain {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection close; }}
    }}
"""


class Telling(WebSocketEcho):
    """Greets with the port that a connection came from, so that one can tell in which order they were made."""

    def __init__(self) -> None:
        super().__init__(handler=self._tell)

    def _tell(self, connection) -> None:
        connection.send(str(connection.remote_address[1]))
        for message in connection:
            connection.send(message)


def front_of(proxy: Launcher, port: int, preconnect: str, server: str = "") -> Proxy:
    return proxy(in_http(FRONT.format(preconnect=preconnect, server=server)), ports={"back": port})


def opened(front: Proxy) -> ClientConnection:
    # The backends of these tests never say goodbye.
    return connect(f"ws://127.0.0.1:{front.port()}/ws", open_timeout=15, close_timeout=0.1)


def closing(port: int) -> set[int]:
    """Likewise, of those whose other side has closed."""
    return connections_to(port, state="08")


def connections_to(port: int, state: str = "01") -> set[int]:
    """Local ports of established connections to a port of this machine (proc(5))."""
    found = set()
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        _, local, remote, its, *_ = line.split()
        if its == state and int(remote.partition(":")[2], 16) == port:
            found.add(int(local.partition(":")[2], 16))
    return found


def test_a_handshake_has_a_connection_that_is_there(proxy: Launcher) -> None:
    with Telling() as backend:
        front = front_of(proxy, backend.port, "preconnect 2 timeout=10m;")
        with opened(front) as first:
            mine = int(first.recv(15))
            eventually(lambda: len(connections_to(backend.port)) == 3, why="two are opened behind the first handshake")
            spares = connections_to(backend.port) - {mine}
            with opened(front) as second:
                assert int(second.recv(15)) in spares
                second.send("through")
                assert second.recv(15) == "through"
                eventually(lambda: len(connections_to(backend.port)) == 4, why="what was used is made up for")
        front.reload()
        assert len(connections_to(backend.port) & spares) >= 1, "a reload keeps them"
        front.reload(in_http(FRONT.format(preconnect="", server="")))
        eventually(lambda: not connections_to(backend.port), why="without the directive there are none")


def test_ordinary_requests_connect_as_ever(proxy: Launcher) -> None:
    script = [read_head, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
    with contextlib.closing(RawBackend(script)) as backend:
        front = front_of(proxy, backend.port, "preconnect 4;")
        for _ in range(3):
            assert front.get("/plain").status == 200
        assert backend.connections == 3


def test_one_that_went_stale_costs_nobody_anything(proxy: Launcher) -> None:
    """The backend reads the handshake on a spare connection, and then hangs up: it is sent once more, on a new one."""

    def gone(talk: Conversation) -> None:
        read_head(talk)
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        talk.socket.close()

    accepted = [read_head, _accept, read_until_end]
    with contextlib.closing(RawBackend(accepted, [gone], [gone], accepted)) as backend:
        front = front_of(proxy, backend.port, "preconnect 2 timeout=10m;")
        with opened(front):
            eventually(lambda: backend.connections == 3)
            with opened(front):
                front.logged("upstream prematurely closed|Connection reset", name="error.log")
        assert len(backend.conversations[1].received) > 0 and not backend.conversations[2].received
    front.logged(r"/ws 101 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+ 0\.000, ")


def _accept(talk: Conversation) -> None:
    from websockets.utils import accept_key

    if not talk.received:
        return  # nobody used it
    key = next(line for line in talk.received.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    answer = accept_key(key.partition(b":")[2].strip().decode())
    head = f"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {answer}\r\n\r\n"
    talk.socket.sendall(head.encode())


def test_a_backend_that_closes_them_is_asked_again_by_the_next_handshake_only(proxy: Launcher) -> None:
    accepted = [read_head, _accept, read_until_end]
    with contextlib.closing(RawBackend(accepted, [], accepted)) as backend:
        front = front_of(proxy, backend.port, "preconnect 1 timeout=10m;")
        with opened(front):
            eventually(lambda: backend.connections == 2)
            eventually(lambda: len(connections_to(backend.port)) == 1)
            eventually(lambda: not closing(backend.port), why="its end is noticed, and nothing is opened instead")
            assert backend.connections == 2
            with opened(front):
                eventually(lambda: backend.connections == 4, why="its own, and a spare one again")


def test_max_conns_counts_them(proxy: Launcher) -> None:
    with Telling() as backend:
        front = front_of(proxy, backend.port, "preconnect 5 timeout=10m;", "max_conns=3")
        with contextlib.ExitStack() as stack:
            for number in range(1, 4):
                stack.enter_context(opened(front)).recv(15)
                eventually(lambda: len(connections_to(backend.port)) == 3, why=f"never more, with {number} in use")


def test_they_live_for_a_while(proxy: Launcher) -> None:
    with contextlib.closing(RawBackend([read_head, _accept, read_until_end])) as backend:
        front = front_of(proxy, backend.port, "preconnect 3 timeout=200ms;")
        with opened(front):
            eventually(lambda: backend.connections == 4)
            eventually(lambda: len(connections_to(backend.port)) == 1, why="nobody asked for them")
            assert backend.connections == 4


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        ("preconnect 0;", "invalid value"),
        ("preconnect 2000;", "1 to 1024"),
        ("preconnect 3 timeout=0;", "leave preconnect out"),
        ("preconnect 3 life=5s;", "invalid parameter"),
        ("preconnect 3; preconnect 4;", "duplicate"),
    ],
)
def test_what_is_refused(proxy: Launcher, directive: str, words: str) -> None:
    refused = proxy.check(in_http(FRONT.format(preconnect=directive, server="")), ports={"back": 9})
    assert refused.code == 1 and words in str(refused)
