"""When a tunnel has ended, however, nothing of it or its handshake is left, or waits for the cyclic collector."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from harness.kinds import kinds_site
from harness.wires import TRIED, Wire

ROUNDS = 3


@pytest.fixture(scope="module")
def site(authority: Any) -> Iterator[Any]:
    with kinds_site(authority) as front:
        yield front
        assert "internal error" not in front.proxy.error_log()


def over_http2(wire: Wire, path: str, how: str) -> None:
    with wire.client2() as client:
        stream = client.websocket(path)
        client.say(stream, b"hello")
        assert client.hear(stream) == (1, b"hello")
        if how == "close":
            client.say(stream, b"\x03\xe8", 8)
            assert client.hear(stream)[0] == 8
        elif how == "reset":
            client.reset(stream)
            assert client.get("/return").status == 200


def over_http1(wire: Wire, path: str, how: str) -> None:
    secure = "tls" in wire.name
    port = wire.front.port("tls" if secure else "http")
    url = f"{'wss' if secure else 'ws'}://localhost:{port}{path}"
    context = wire.trusting if secure else None
    with suppress(OSError, WebSocketException), connect(url, ssl=context, open_timeout=20, close_timeout=2) as talk:
        talk.send("hello")
        assert talk.recv(20) == "hello"
        if how == "reset":
            talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how != "close":
            talk.socket.shutdown(socket.SHUT_RDWR)
            talk.socket.close()


@pytest.mark.parametrize("how", ["close", "gone", "reset"])
@pytest.mark.parametrize("path", ["/ws", "/ws-plain", "/ws-watched"])
@pytest.mark.parametrize("name", TRIED)
def test_a_tunnel_leaves_nothing(site: Any, authority: Any, name: str, path: str, how: str) -> None:
    wire = Wire(name, site, authority.client_context())
    act = over_http2 if wire.http2 else over_http1
    act(wire, path, how)
    before = site.settle()
    site.garbage()
    for _ in range(ROUNDS):
        act(wire, path, how)
    after = site.settle(before)
    garbage = site.garbage()
    assert after.within(before), (before, after)
    assert not garbage, " > ".join(garbage["cycle"])
