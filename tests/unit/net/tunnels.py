"""A tunnel between two peers that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from penstock.net.loop import Loop
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream

Ends = list[tuple[End, int, int]]


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
