"""A tunnel between two peers that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from penstock.net.loop import Loop
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream

Ends = list[tuple[End, int, int]]
ASKED = b"\x88\x82\x01\x02\x03\x04\x02\xea"
AGREED = b"\x88\x02\x03\xe8"
"""Close frames: a client's, and the answer of its backend."""
WHO_ENDS = pytest.mark.parametrize(
    ("first", "reason"), [("client", End.CLIENT_CLOSED), ("backend", End.BACKEND_CLOSED)]
)
NO_GOODBYE = pytest.mark.parametrize(
    ("websocket", "client", "backend"),
    [
        (False, ASKED, AGREED),
        (True, b"\x81\x81\x00\x00\x00\x00a", AGREED),
        (True, ASKED, b"\x81\x01a"),
        (True, ASKED, AGREED + bytes(200)),
    ],
    ids=["no WebSocket", "the client said no goodbye", "the backend said none", "too long for a close frame"],
)


class Both:
    """A tunnel and the two who talk through it: `client` and `backend` are the far ends."""

    def __init__(self, loop: Loop, make: Callable[[], tuple[Stream, Stream]], **options: Any) -> None:
        self.client, near = make()
        self.backend, far = make()
        self.ends: Ends = []
        options.setdefault("idle_timeout", 5)
        self.tunnel = relay(near, far, on_end=self.ended, **options)

    def ended(self, tunnel: Tunnel, reason: End) -> None:
        self.ends.append((reason, tunnel.from_client, tunnel.from_backend))

    async def end(self) -> End:
        for _ in range(200):
            if self.ends:
                return self.ends[0][0]
            await asyncio.sleep(0.005)
        raise AssertionError("the tunnel does not end")


async def read_all(stream: Stream) -> bytes:
    got = bytearray()
    while piece := await stream.recv(65536, 5):
        got += piece
    return bytes(got)


async def say(both: Both, client: bytes, backend: bytes) -> None:
    """Each says something that the other hears."""
    await both.client.send_all(client)
    assert await both.backend.recv(timeout=5) == client
    await both.backend.send_all(backend)
    assert await both.client.recv(timeout=5) == backend


async def one_after_the_other(both: Both, client: bytes, backend: bytes) -> None:
    """Both say something; then the backend ends, and the client can still speak, until it ends as well."""
    await say(both, client, backend)
    both.backend.shutdown_write()
    assert await both.client.recv(timeout=5) == b""
    await both.client.send_all(b"one word more")
    assert await both.backend.recv(timeout=5) == b"one word more"
    both.client.close()
    assert await both.end() is End.BACKEND_CLOSED
