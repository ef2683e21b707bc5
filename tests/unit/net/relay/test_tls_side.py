"""Tunnels with TLS at one end or at both."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.fiber import spawn
from penstock.net.loop import Loop
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import End
from penstock.net.stream import Stream

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]


@pytest.mark.parametrize("sides", [("tls", "plain"), ("plain", "tls"), ("tls", "tls")])
def test_tls(sides: tuple[str, str], secured: Any, connected: Connected, loop: Loop, run: Run) -> None:
    """Short messages, then much with both sides slow, then both half-closes."""
    data = os.urandom(3 << 20)

    async def made(kind: str) -> tuple[Stream, Stream]:
        pair: tuple[Stream, Stream] = await secured() if kind == "tls" else connected()
        return pair

    async def main() -> None:
        client, near = await made(sides[0])
        backend, far = await made(sides[1])
        ends: list[End] = []
        relay(near, far, to_client=b"first", idle_timeout=5, on_end=lambda _, reason: ends.append(reason))
        assert await client.recv(timeout=5) == b"first"
        for size in (1, 100, 8191, 16384):
            await client.send_all(data[:size])
            got = b""
            while len(got) < size:
                got += await backend.recv(timeout=5)
            assert got == data[:size]
            await backend.send_all(got)
            got = b""
            while len(got) < size:
                got += await client.recv(timeout=5)
            assert got == data[:size]
        up, down = spawn(client.send_all(data, 5)), spawn(backend.send_all(data[::-1], 5))
        await asyncio.sleep(0.05)

        async def read_exactly(stream: Stream) -> bytes:
            got = bytearray()
            while len(got) < len(data):
                got += await stream.recv(65536, 5)
            return bytes(got)

        at_backend, at_client = spawn(read_exactly(backend)), spawn(read_exactly(client))
        await up.join()
        await down.join()
        assert await at_backend.join() == data
        assert await at_client.join() == data[::-1]
        backend.close()
        assert await client.recv(timeout=5) == b""
        client.close()
        while not ends:
            await asyncio.sleep(0.01)
        assert ends == [End.BACKEND_CLOSED]

    run(main())


def test_tls_bytes_openssl_holds_are_not_forgotten(secured: Any, connected: Connected, loop: Loop, run: Run) -> None:
    """The rest of a record was read into OpenSSL before the tunnel began: epoll does not tell of it."""

    async def main() -> None:
        client, near = await secured()
        backend, far = connected()
        await client.send_all(b"GET / HTTP/1.1\r\n\r\nand more")
        assert await near.recv(18, 1) == b"GET / HTTP/1.1\r\n\r\n"
        tunnel = relay(near, far, on_end=lambda *_: None)
        assert await backend.recv(timeout=5) == b"and more"
        tunnel.close()

    run(main())


def test_tls_reset(secured: Any, connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = await secured()
        backend, far = connected()
        ends: list[End] = []
        tunnel = relay(near, far, on_end=lambda _, reason: ends.append(reason))
        client._broken = True
        client.abort()
        assert await backend.recv(timeout=5) == b""
        assert ends == [End.CLIENT_RESET]
        assert tunnel.errno == 104

    run(main())


def test_tls_closed_at_will_says_so(secured: Any, connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = await secured()
        _, far = connected()
        tunnel = relay(near, far, on_end=lambda *_: None)
        tunnel.close()
        await client.readable(1)
        for _ in range(5):  # the first records are session tickets
            try:
                assert client.ssl.read(10) == b""  # an end without close_notify raises SSLEOFError
                return
            except ssl.SSLWantReadError:
                await asyncio.sleep(0.01)
        raise AssertionError("no close_notify")

    run(main())
