"""What a check says of backends of every kind, and that it is bounded: in time, and in what it reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.backends import RawBackend, WebSocketEcho, read_head
from harness.backends.scripted import Conversation, Step, half_close, hold
from penstock.config.regex.pcre import compile_pcre
from penstock.http.head import RequestHead
from penstock.http.request import Request
from penstock.net.fiber import spawn
from penstock.net.loop import new_loop
from penstock.upstream.checks.asking import Asking, elsewhere
from penstock.upstream.checks.check import Check, Fields
from penstock.upstream.checks.expected import BodyTest, Expected
from penstock.upstream.checks.nobody import CheckClient
from penstock.upstream.exchange.outgoing import Secure
from penstock.websocket.handshake import accept_key

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class NoServer:
    root = None


def prepare(fields: Fields) -> tuple[bytes, Request, Secure | None]:
    head = RequestHead("GET / HTTP/1.1", "GET", "/", 11, [], {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    made = Request(CheckClient(), head, NoServer())  # type: ignore[arg-type]
    return f"GET / HTTP/1.1\r\nHost: app\r\n{lines}\r\n".encode(), made, None


CHECK = Check(prepare, limit=2.0)
HANDSHAKE = Check(prepare, "websocket", limit=2.0, ping=True)


def said(check: Check, port: int, times: int = 1) -> list[str]:
    """What so many checks say, one after the other."""
    loop = new_loop()
    found: list[str] = []

    async def go() -> None:
        asking = Asking(check, ("127.0.0.1", port))
        for _ in range(times):
            found.append(await asking.ask())
        asking.close()
        loop.stop()

    try:
        loop.call_soon(lambda: spawn(go()))
        loop.call_later(20.0, loop.stop)
        loop.run_forever()
    finally:
        loop.close()
    return found


def answers(*steps: Step) -> RawBackend:
    return RawBackend([read_head, *steps])


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        ([OK], ""),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK], ""),
        ([b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"], "the status is 500"),
        ([], "the connection was closed without an answer"),
        ([b"HTTP/1.1 200"], "the answer is cut off"),
        ([b"SSH-2.0-OpenSSH\r\n"], "the answer is not HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"], "upstream sent"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: %s\r\n" % (b"y" * 70000)], "the head of the answer is too long"),
        ([hold], "no answer in time"),
    ],
)
def test_over_http(steps: list[Step], wrong: str) -> None:
    with answers(*steps) as backend:
        (found,) = said(replace(CHECK, limit=0.3 if hold in steps else 2.0), backend.port)
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)


def test_nobody_is_there() -> None:
    with answers(OK) as backend:
        port = backend.port
    (found,) = said(CHECK, port)
    assert "connect() failed" in found


def test_a_body_that_never_ends_is_read_so_far() -> None:
    """Of a gigabyte that a backend would send, a quarter of a megabyte is looked at."""
    taken = []

    def pour(talk: Conversation) -> None:
        piece = b"x" * 65536
        try:
            for _ in range(16384):
                talk.socket.sendall(piece)
                taken.append(len(piece))
        except OSError:
            pass

    fits = Expected(body=BodyTest(compile_pcre("^x+$", caseless=False)))
    with answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", pour) as backend:
        assert said(replace(CHECK, expected=fits), backend.port) == [""]
    assert sum(taken) < 64 << 20


def test_a_connection_is_used_again() -> None:
    def read_another(talk: Conversation) -> None:
        talk.received = b""
        read_head(talk)

    twice = RawBackend([read_head, OK, read_another, OK])
    with twice as backend:
        assert said(replace(CHECK, keepalive=60.0), backend.port, 2) == ["", ""]
        assert said(CHECK, backend.port) == [""]
    once = RawBackend([read_head, OK])
    with once as backend:
        assert said(replace(CHECK, keepalive=60.0), backend.port, 3) == ["", "", ""], "closed, it is made anew"


def test_only_a_connection() -> None:
    with answers(hold) as backend:
        assert said(replace(CHECK, kind="tcp"), backend.port) == [""]


def test_a_websocket_that_is_alive() -> None:
    with WebSocketEcho(greet=True, subprotocols=["chat"]) as backend:
        assert said(replace(HANDSHAKE, protocols=("soap", "chat")), backend.port) == [""]
        assert said(replace(HANDSHAKE, protocols=("chat",), ping=False), backend.port) == [""]
        deadline = time.monotonic() + 10
        while len(backend.closed) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [code for code, _ in backend.closed] == [1000, 1000]
        assert said(replace(HANDSHAKE, protocols=("soap",)), backend.port)[0] != ""


def _accepting(then: Callable[[Conversation], None]) -> list[Step]:
    """Answer a handshake by the book, and go on as is said."""

    def accept(talk: Conversation) -> None:
        key = next(
            line.partition(b": ")[2].decode()
            for line in talk.received.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        talk.socket.sendall(
            b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
        )
        then(talk)

    return [accept]


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "the handshake was answered with 400"),
        (OK, "the handshake was answered with 200"),
        (
            b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "Sec-WebSocket-Accept does not answer the key",
        ),
    ],
)
def test_a_handshake_that_fails(answer: bytes, wrong: str) -> None:
    with answers(answer, hold) as backend:
        assert said(HANDSHAKE, backend.port) == [wrong]


def _hang_up(talk: Conversation) -> None:
    talk.socket.sendall(b"\x8a\x00")
    half_close(talk)
    hold(talk)


def _flood(talk: Conversation) -> None:
    try:
        while True:
            talk.socket.sendall(b"\x82\x7e\xff\xff" + b"x" * 65535)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("then", "wrong"),
    [
        (lambda talk: threading.Event().wait(1.0), "no pong in time"),
        (_hang_up, "the connection was closed instead of a pong"),
        (lambda talk: talk.socket.sendall(b"\x88\x02\x03\xf3"), "it closed with 1011 instead of a pong"),
        (_flood, "too much came before the pong"),
    ],
)
def test_a_websocket_that_gives_no_pong(then: Callable[[Conversation], None], wrong: str) -> None:
    limit = 0.4 if "time" in wrong else 5.0
    with answers(*_accepting(then)) as backend:
        assert said(replace(HANDSHAKE, limit=limit), backend.port) == [wrong]


def test_a_port_of_its_own() -> None:
    assert elsewhere(("127.0.0.1", 80), 8080) == ("127.0.0.1", 8080)
    assert elsewhere(("::1", 80, 0, 2), 8080) == ("::1", 8080, 0, 2)
    assert elsewhere(("127.0.0.1", 80), 0) == ("127.0.0.1", 80)
    assert elsewhere("/run/app.sock", 80) == "/run/app.sock"
