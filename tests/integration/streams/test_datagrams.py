"""Streams of datagrams, through Penstock and through nginx."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.binary import load_stream, stream_module
from harness.ports import free_port
from harness.proxy import Proxy

Start = Callable[..., Proxy]
FORMAT = """
    log_format told '$protocol $status $bytes_received $bytes_sent $upstream_addr $upstream_bytes_received';
    access_log told.log told;
"""


class Repeater:
    """A server that answers each datagram with as many as its number says, each with its own name before it."""

    def __init__(self, name: str = "a") -> None:
        self.name = name
        self.heard: list[bytes] = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = free_port()
        self.sock.bind(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, who = self.sock.recvfrom(65536)
            if data == b"end":
                return
            self.heard.append(data)
            for _ in range(int(data[-1:])):
                self.sock.sendto(self.name.encode() + data, who)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"end", ("127.0.0.1", self.port))
        self._thread.join(5)
        self.sock.close()


@pytest.fixture
def repeater() -> Iterator[Repeater]:
    made = Repeater()
    yield made
    made.close()


@pytest.fixture(params=["proxy", "nginx"])
def start(request: pytest.FixtureRequest) -> Start:
    if request.param == "nginx" and stream_module() is None:
        pytest.skip("nginx has no module for streams (Debian: libnginx-mod-stream)")
    launch = request.getfixturevalue(request.param)

    def begin(text: str, **options: Any) -> Proxy:
        started: Proxy = launch(f"{load_stream()}\nerror_log error.log info;\nstream {{ {FORMAT} {text} }}", **options)
        return started

    return begin


def client(front: Proxy, host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(10)
    made.connect((host, front.port("front")))
    return made


def test_each_client_has_its_session(start: Start, repeater: Repeater) -> None:
    front = start(
        "server { listen 127.0.0.1:{port:front} udp; proxy_responses 1; proxy_pass 127.0.0.1:{port:back}; }",
        ports={"back": repeater.port},
    )
    with client(front) as one, client(front) as other:
        one.send(b"x1")
        assert one.recv(100) == b"ax1"
        other.send(b"y1")
        assert other.recv(100) == b"ay1"
        one.send(b"z1")
        assert one.recv(100) == b"az1"
    front.logged(rf"(?m)^UDP 200 2 3 127.0.0.1:{repeater.port} 3\n(.*\n){{2}}", name="told.log")


def test_many_answers_and_one_session(start: Start, repeater: Repeater) -> None:
    front = start(
        "server { listen 127.0.0.1:{port:front} udp; proxy_requests 2; proxy_responses 3; "
        "proxy_pass 127.0.0.1:{port:back}; }",
        ports={"back": repeater.port},
    )
    with client(front) as one:
        one.send(b"x3")
        assert [one.recv(100) for _ in range(3)] == [b"ax3"] * 3
        one.send(b"y3")
        assert [one.recv(100) for _ in range(3)] == [b"ay3"] * 3
    front.logged(rf"(?m)^UDP 200 4 18 127.0.0.1:{repeater.port} 18\n", name="told.log")


def test_an_answer_that_does_not_come(start: Start, repeater: Repeater) -> None:
    front = start(
        "server { listen 127.0.0.1:{port:front} udp; proxy_responses 1; proxy_timeout 300ms; "
        "proxy_pass 127.0.0.1:{port:back}; }",
        ports={"back": repeater.port},
    )
    with client(front) as one:
        one.send(b"x0")
        front.logged(r"(?m)^UDP 502 2 0 ", name="told.log")


def test_silence_where_no_number_is_expected(start: Start, repeater: Repeater) -> None:
    front = start(
        "server { listen 127.0.0.1:{port:front} udp; proxy_timeout 300ms; proxy_pass 127.0.0.1:{port:back}; }",
        ports={"back": repeater.port},
    )
    with client(front) as one:
        one.send(b"x2")
        assert [one.recv(100) for _ in range(2)] == [b"ax2"] * 2
        front.logged(r"(?m)^UDP 200 2 6 ", name="told.log")


def test_texts_rules_and_the_header(start: Start, repeater: Repeater) -> None:
    front = start(
        """
        server { listen 127.0.0.1:{port:front} udp; return "$protocol $remote_addr"; }
        server { listen 127.0.0.1:{port:denied} udp; deny all; return no; }
        server {
            listen 127.0.0.1:{port:told} udp; proxy_protocol on; proxy_responses 1; proxy_pass 127.0.0.1:{port:back};
        }
        """,
        ports={"back": repeater.port},
    )
    with client(front) as one:
        one.send(b"anything")
        assert one.recv(100) == b"UDP 127.0.0.1"
        one.connect(("127.0.0.1", front.port("denied")))
        one.send(b"anything")
        front.logged(r"(?m)^UDP 403 8 0 -", name="told.log")
        one.connect(("127.0.0.1", front.port("told")))
        one.send(b"x1")
        assert one.recv(200).endswith(b"x1")
        ours = one.getsockname()[1]
    assert repeater.heard == [f"PROXY TCP4 127.0.0.1 127.0.0.1 {ours} {front.port('told')}\r\nx1".encode()]


def test_answers_come_from_the_address_that_was_asked(start: Start, repeater: Repeater) -> None:
    front = start(
        "server { listen {port:front} udp; proxy_responses 1; proxy_pass 127.0.0.1:{port:back}; }",
        ports={"back": repeater.port},
    )
    with client(front, "127.0.0.2") as one:
        one.send(b"x1")
        assert one.recv(100) == b"ax1"


def test_a_reload_and_the_end(proxy: Any, repeater: Repeater) -> None:
    site = "stream { %s server { listen 127.0.0.1:{port:front} udp; %s } }"
    front = proxy(site % (FORMAT, "proxy_pass 127.0.0.1:{port:back};"), ports={"back": repeater.port})
    with client(front) as one:
        one.send(b"x1")
        assert one.recv(100) == b"ax1"
        front.reload(site % (FORMAT, "return changed;"))
        one.send(b"y1")
        assert one.recv(100) == b"ay1"
        with client(front) as other:
            other.send(b"z")
            assert other.recv(100) == b"changed"
        front.stop()
    assert "UDP 200 4 6" in front.access_log("told.log")
