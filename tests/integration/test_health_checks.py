"""Active checks: what clients see while a backend is killed, hangs, refuses handshakes, is deaf, or comes back cold.

From one interval after a backend has begun to fail, nobody is sent to it, with one worker and with four.
"""

from __future__ import annotations

import os
import re
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from websockets.sync.client import connect

from conftest import Launcher
from harness.backends import AsgiBackend, RawBackend, WebSocketEcho, read_head
from harness.backends.scripted import Conversation, Step, hold
from harness.certs import Authority
from harness.ports import free_port
from harness.proxy import Proxy, in_http
from harness.waiting import eventually
from penstock.websocket.handshake import accept_key

INTERVAL = 1.0
"""Seconds. It is also the time that an answer has: nobody who is well takes so long, on a busy machine either."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback"
FRONT = """
    log_format up '$uri $status $upstream_addr';
    access_log access.log up;
    upstream app {{
        {zone}
        server 127.0.0.1:{{port:good}} max_fails=0;
        server 127.0.0.1:{{port:sick}} max_fails=0;
    }}
    server {{
        listen 127.0.0.1:{{port:front}};
        location / {{ proxy_pass http://app; {http} }}
    }}
"""
HTTP_CHECK = f"health_check interval={INTERVAL * 1000:.0f}ms uri=/health;"
WS_CHECK = f"health_check type=websocket ping interval={INTERVAL * 1000:.0f}ms uri=/health;"


def configured(*, http: str = "", workers: int = 1, zone: str = "") -> str:
    return f"worker_processes {workers};\n" + in_http(FRONT.format(http=http, zone=zone))


def judged(front: Proxy, port: int, verdict: str, upstream: str = "app") -> None:
    """Wait until the log says of a backend that it is so."""
    front.logged(rf"peer 127\.0\.0\.1:{port} in upstream \"{upstream}\" is {verdict}", name="error.log")


def asked(front: Proxy, times: int = 12) -> set[int]:
    return {front.get("/").status for _ in range(times)}


@pytest.fixture
def good() -> Iterator[AsgiBackend]:
    with AsgiBackend("good") as backend:
        yield backend


@pytest.mark.parametrize("workers", [1, 4])
def test_one_is_killed_and_comes_back_cold(proxy: Launcher, good: AsgiBackend, workers: int) -> None:
    port = free_port()
    sick = RawBackend([read_head, OK], port=port)
    front = proxy(
        configured(http=HTTP_CHECK, workers=workers, zone="zone app 64k;"), ports={"good": good.port, "sick": port}
    )
    eventually(lambda: "back" in front.get("/").text)
    sick.close()
    began = time.monotonic()
    judged(front, port, "unhealthy")
    assert time.monotonic() - began < 10, "within an interval, on a machine that has other things to do"
    before = len(front.access_log().splitlines())
    assert asked(front) == {200}
    eventually(lambda: len(front.access_log().splitlines()) >= before + 12)
    assert all(str(good.port) in line for line in front.access_log().splitlines()[before:])
    with RawBackend([read_head, OK], port=port):
        judged(front, port, "healthy")
        assert "back" in {front.get("/").text for _ in range(12)}
    assert len(re.findall("is unhealthy", front.error_log())) in (1, 2), "one worker says it, once each time"


def accepting(talk: Conversation) -> None:
    """Answer a handshake by the book."""
    key = re.search(r"(?i)sec-websocket-key: (\S+)", talk.received.decode("latin-1"))
    assert key is not None
    talk.socket.sendall(
        b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key[1]).encode() + b"\r\n\r\n"
    )


SICK: dict[str, tuple[list[Step], str]] = {
    "silent": ([read_head, hold], "no answer in time"),
    "refusing": (
        [read_head, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"],
        "the handshake was answered with 400",
    ),
    "deaf": ([read_head, accepting, hold], "no pong in time"),
}


@pytest.mark.parametrize("workers", [1, 4])
def test_websockets_are_not_sent_to_who_hangs_or_refuses_or_is_deaf(proxy: Launcher, workers: int) -> None:
    upstreams = locations = ""
    for name in SICK:
        upstreams += f"upstream {name} {{ server 127.0.0.1:{{port:good}}; server 127.0.0.1:{{port:{name}}}; }}\n"
        locations += f"location /{name} {{ proxy_pass http://{name}; websocket auto; {WS_CHECK} }}\n"
    text = f"{upstreams} server {{ listen 127.0.0.1:{{port:front}}; {locations} }}"
    with ExitStack() as stack:
        good = stack.enter_context(WebSocketEcho())
        backends = {name: stack.enter_context(RawBackend(steps)) for name, (steps, _) in SICK.items()}
        ports = {"good": good.port, **{name: backend.port for name, backend in backends.items()}}
        front = proxy(f"worker_processes {workers};\n{in_http(text)}", ports=ports)
        for name, (_, why) in SICK.items():
            judged(front, ports[name], f"unhealthy: {why}", upstream=name)
        for name in SICK:
            for _ in range(5):
                with connect(f"ws://127.0.0.1:{front.port()}/{name}", compression=None) as client:
                    client.send("hello")
                    assert client.recv(timeout=10) == "hello"
        eventually(lambda: (1000, "") in good.closed, why="a check ends with 1000")
        lines = eventually(lambda: len(found := front.access_log().splitlines()) >= 15 and found)
        assert len(lines) == 15, "checks are nobody's tunnels"


def test_another_worker_takes_over_and_nothing_is_forgotten(proxy: Launcher, good: AsgiBackend) -> None:
    """The worker that checks is killed, and a reload comes: who is sick stays out throughout."""
    with RawBackend([read_head, hold]) as sick:
        text = configured(http=HTTP_CHECK, workers=2, zone="zone app 64k;")
        front = proxy(text, ports={"good": good.port, "sick": sick.port}, expect=["exited on signal 9"])
        judged(front, sick.port, "unhealthy")
        checker = re.search(r"\[warn\] (\d+)#.*is unhealthy", front.error_log())
        assert checker is not None
        os.kill(int(checker[1]), signal.SIGKILL)
        assert asked(front) == {200}
        seen = len(sick.conversations)
        eventually(lambda: len(sick.conversations) > seen + 1, why="another goes on to check")
        front.reload(text)
        assert asked(front) == {200}
        assert front.error_log().count("is unhealthy") == 1


def test_one_that_must_pass_first_gets_nothing_before(proxy: Launcher) -> None:
    port, other = free_port(), free_port()
    check = HTTP_CHECK.replace(";", " mandatory;")
    front = proxy(configured(http=check), ports={"good": port, "sick": other})
    assert front.get("/").status == 502
    with RawBackend([read_head, OK], port=port):
        judged(front, port, "healthy")
        assert asked(front) == {200}


def test_one_that_flaps_and_one_whose_tls_is_none(proxy: Launcher, good: AsgiBackend, authority: Authority) -> None:
    """Who is well for each third check only costs no request. Checks speak the TLS that requests speak, too, and that
    is bounded as well."""
    count = 0

    def answer(talk: Conversation) -> None:
        nonlocal count
        path = talk.received.split(b" ")[1]
        if path == b"/health":
            count += 1
        bad = path == b"/health" and count % 3
        talk.socket.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" if bad else OK)

    pair = authority.issue("app")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    secure = f"""
        upstream secure {{ server 127.0.0.1:{{port:tls}}; server 127.0.0.1:{{port:plain}}; }}
        server {{ listen 127.0.0.1:{{port:other}}; location / {{ proxy_pass https://secure; {HTTP_CHECK} }} }}
    """
    text = FRONT.format(http=HTTP_CHECK.replace("1000ms", "200ms fails=2"), zone="") + secure.replace("{{", "{")
    with (
        RawBackend([read_head, answer]) as sick,
        RawBackend([read_head, OK], tls=context) as tls,
        RawBackend([read_head, OK]) as plain,
    ):
        ports = {"good": good.port, "sick": sick.port, "tls": tls.port, "plain": plain.port}
        front = proxy(f"worker_processes 2;\n{in_http(text)}", ports=ports)
        judged(front, plain.port, "unhealthy", upstream="secure")
        assert {front.get("/", port="other").text for _ in range(6)} == {"back"}
        assert f"127.0.0.1:{tls.port} in upstream" not in front.error_log()

        def flapped() -> bool:
            assert asked(front, 5) == {200}
            return front.error_log().count("is healthy") >= 3

        eventually(flapped)
