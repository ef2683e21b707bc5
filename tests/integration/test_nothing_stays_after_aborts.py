"""Whenever a client goes, at whatever stage, all that its request took is given back: descriptors, temporary files,
fibers, places at backends; and nothing waits for the cyclic collector.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from harness.http2 import Http2Client
from harness.kinds import UPLOAD, Kind, kinds_site
from harness.raw import RawClient
from harness.waiting import eventually
from harness.wires import TRIED, Wire, fields, request_head

ROUNDS = 3
ENDS = ("fin", "rst")


@pytest.fixture(scope="module")
def site(authority: Any) -> Iterator[Any]:
    with kinds_site(authority) as front:
        yield front
        assert "internal error" not in front.proxy.error_log()


@pytest.fixture(params=TRIED)
def wire(request: pytest.FixtureRequest, site: Any, authority: Any) -> Wire:
    return Wire(request.param, site, authority.client_context())


def nothing_stays(site: Any, act: Callable[[], None]) -> None:
    """Hold what is there before and after against each other."""
    act()
    before = site.settle()
    site.garbage()
    for _ in range(ROUNDS):
        act()
    after = site.settle(before)
    assert after.within(before), (before, after)
    garbage = site.garbage()
    assert not garbage, " > ".join(garbage["cycle"])


# What has been sent when the client goes; it waits until the proxy has come so far. HTTP/1.1 and HTTP/2 alike.

READ_LATE = [
    Kind(path)
    for path in (
        "/static/large.html", "/static-gzip/large.html", "/static-sub/large.html", "/static-slow/large.html",
        "/added/large.html", "/ssi/page.html", "/length", "/chunked", "/close", "/unbuffered", "/temp", "/no-temp",
        "/rated", "/gunzip", "/sub", "/everything", "/mirrored", "/authorized", "/elsewhere", "/intercepted",
        "/nothing", "/slowly", "/uwsgi", "/scgi", "/http2", "/http2-unbuffered", "/static/missing",
    )
] + [
    Kind("/gzip", headers=(("accept-encoding", "gzip"),)),
    Kind("/static/large.html", headers=(("range", "bytes=100-2000,5000-290000"),)),
    Kind("/ranges", headers=(("range", "bytes=100-290000"),)),
]  # fmt: skip
NEVER = [Kind("/silent"), Kind("/silent", method="POST", body=UPLOAD), Kind("/slowly", method="POST", body=UPLOAD)]
HALF_SENT = [
    Kind(path, method="POST", body=UPLOAD, chunked=chunked)
    for path in ("/upload", "/in-file", "/upload-unbuffered", "/upload-mirrored", "/uwsgi", "/scgi", "/http2",
                 "/http2-unbuffered", "/early", "/static/large.html", "/return", "/silent")
    for chunked in (False, True)
]  # fmt: skip

BADLY_SENT = ("/static/large.html", "/upload", "/in-file", "/upload-unbuffered", "/length", "/early")
BAD_CHUNKS = (b"zz\r\n", b"5\r\nhelloXX", b"-5\r\n", b"5\r\nhello\r\nzz\r\n", b"f" * 17 + b"\r\n")
FRAMES = {
    "goaway": (7, 0, 0, bytes(8)),
    "goaway-error": (7, 0, 0, bytes(7) + b"\2"),
    "data-on-no-stream": (0, 0, 0, b"data"),
    "broken-reset": (3, 0, 1, b"short"),
}
"""Type, flags, stream and payload."""


def end(client: RawClient | Http2Client, how: str) -> None:
    if how == "rst":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()


def begun(site: Any) -> None:
    """Wait until the proxy works on a request."""
    with suppress(AssertionError):
        eventually(lambda: site.count().connections, 2)


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("kind", [*READ_LATE, *NEVER], ids=str)
def test_a_client_goes_in_mid_answer(site: Any, wire: Wire, kind: Kind, how: str) -> None:
    def act() -> None:
        if wire.http2:
            client = wire.client2(greedy=False)
            stream = client.open(kind.path, *fields(kind), method=kind.method, ended=not kind.body)
            if kind.body:
                client.send(stream, kind.body, ended=True)
        else:
            client = wire.client1()
            client.send(request_head(kind) + kind.body)
        with suppress(TimeoutError):
            client.socket.settimeout(0.03)
            client.socket.recv(1)
        end(client, how)

    nothing_stays(site, act)


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("kind", HALF_SENT, ids=str)
def test_a_client_goes_in_mid_body(site: Any, wire: Wire, kind: Kind, how: str) -> None:
    def act() -> None:
        half = kind.body[: len(kind.body) // 2]
        if wire.http2:
            client = wire.client2()
            stream = client.open(kind.path, *fields(kind), method=kind.method, ended=False)
            with suppress(Exception):  # it may have been answered, and reset
                client.send(stream, half[:60_000])
        else:
            client = wire.client1()
            client.send(request_head(kind) + (b"%x\r\n%b" % (len(kind.body), half) if kind.chunked else half))
        time.sleep(0.03)
        end(client, how)

    nothing_stays(site, act)


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("data", [b"", b"G", b"GET /static/large.html HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-"])
def test_a_client_goes_before_its_head_is_whole(site: Any, wire: Wire, data: bytes, how: str) -> None:
    def act() -> None:
        client = wire.client1()
        client.send(data)
        begun(site)
        end(client, how)

    nothing_stays(site, act)


@pytest.mark.parametrize("path", BADLY_SENT)
@pytest.mark.parametrize("bad", BAD_CHUNKS)
@pytest.mark.parametrize("name", [name for name in TRIED if name in ("http1", "tls")])
def test_a_broken_chunked_body(site: Any, authority: Any, name: str, path: str, bad: bytes) -> None:
    wire = Wire(name, site, authority.client_context())

    for method in ("GET", "POST"):

        def act(method: str = method) -> None:
            with wire.client1() as client, suppress(ConnectionError):
                client.send(request_head(Kind(path, method=method, chunked=True)) + bad)
                client.response(method)

        nothing_stays(site, act)


@pytest.mark.parametrize("name", [name for name in TRIED if name in ("h2", "h2-tls")])
@pytest.mark.parametrize("kind", [*READ_LATE, *NEVER, *HALF_SENT[::2]], ids=str)
def test_a_stream_is_reset(site: Any, authority: Any, name: str, kind: Kind) -> None:
    wire = Wire(name, site, authority.client_context())
    half = kind in HALF_SENT

    def act() -> None:
        with wire.client2(greedy=False) as client:
            stream = client.open(kind.path, *fields(kind), method=kind.method, ended=not kind.body)
            if kind.body:
                with suppress(Exception):
                    client.send(stream, kind.body[:60_000] if half else kind.body, ended=not half)
            with suppress(TimeoutError):
                client.until(lambda: bool(client.streams[stream].body), 0.03)
            with suppress(Exception):
                client.reset(stream)
            assert client.get("/return").status == 200

    nothing_stays(site, act)


@pytest.mark.parametrize("name", [name for name in TRIED if name in ("h2", "h2-tls")])
@pytest.mark.parametrize("frame", FRAMES)
def test_a_connection_ends_with_a_frame(site: Any, authority: Any, name: str, frame: str) -> None:
    wire = Wire(name, site, authority.client_context())

    def act() -> None:
        with wire.client2(greedy=False) as client:
            for path in ("/static/large.html", "/length", "/silent", "/ssi/page.html"):
                client.open(path)
            upload = client.open("/in-file", method="POST", ended=False)
            client.send(upload, UPLOAD[:50_000])
            client.raw(*FRAMES[frame])
            with suppress(TimeoutError):
                client.until(lambda: client.eof, 0.05)

    nothing_stays(site, act)
