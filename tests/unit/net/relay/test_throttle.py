"""A side that is read no faster than it may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.net.loop import Loop
from penstock.net.relay.relay import relay
from penstock.net.relay.throttle import Throttle
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream
from unit.net.tunnels import read_all

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]


def test_a_second_s_worth_at_a_time(make: Connected, loop: Loop, run: Run) -> None:
    ends: list[End] = []

    async def main() -> tuple[bytes, float]:
        client, near = make()
        backend, far = make()
        began = time.monotonic()
        tunnel = relay(
            near,
            far,
            on_end=lambda tunnel, reason: ends.append(reason),
            watch=lambda tunnel: hold_back(tunnel, 20_000),
        )
        assert not tunnel.engaged
        await backend.send_all(b"x" * 45_000)
        backend.shutdown_write()
        first = await client.recv(100_000, timeout=10)
        assert len(first) <= 20_000
        client.shutdown_write()
        return first + await read_all(client), time.monotonic() - began

    data, took = run(main())
    assert data == b"x" * 45_000
    assert took >= 1.9
    assert ends


def test_the_other_way_is_as_fast_as_ever(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = make()
        backend, far = make()
        tunnel = relay(near, far, on_end=lambda *_: None, watch=lambda tunnel: hold_back(tunnel, 1))
        await client.send_all(b"y" * 50_000)
        client.shutdown_write()
        assert await read_all(backend) == b"y" * 50_000
        await backend.send_all(b"abc")
        assert await client.recv(timeout=10) == b"a"
        tunnel.close()

    run(main())


def hold_back(tunnel: Tunnel, rate: int) -> None:
    Throttle(tunnel.backend, rate)
