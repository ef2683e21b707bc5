"""Tunnels: what they count, when they end, and what may be done to them."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import NetError
from penstock.net.fiber import spawn
from penstock.net.loop import Loop
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import End, Send
from penstock.net.stream import Stream
from unit.net.tunnels import Both, read_all

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]


def test_both_ways_and_counted(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, make)
        assert both.tunnel in loop.tunnels
        await both.client.send_all(b"question")
        assert await both.backend.recv(timeout=5) == b"question"
        await both.backend.send_all(b"answer!")
        assert await both.client.recv(timeout=5) == b"answer!"
        assert (both.tunnel.from_client, both.tunnel.from_backend) == (8, 7)
        both.client.close()
        assert await both.backend.recv(timeout=5) == b""
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED
        assert both.ends == [(End.CLIENT_CLOSED, 8, 7)]
        assert loop.tunnels == set()

    run(main())


def test_first_bytes_come_before_what_is_read(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = make()
        backend, far = make()
        near.unread(b"put back, ")
        far.unread(b"also put back, ")
        await client.send_all(b"sent")
        await backend.send_all(b"answered")
        tunnel = relay(near, far, to_client=b"head, ", to_backend=b"early, ", on_end=lambda *_: None)
        client.shutdown_write()
        backend.shutdown_write()
        assert await read_all(backend) == b"early, put back, sent"
        assert await read_all(client) == b"head, also put back, answered"
        assert tunnel.from_client == len(b"put back, sent")
        assert tunnel.from_backend == len(b"also put back, answered")

    run(main())


def test_a_half_closed_tunnel_idles_out(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, make, idle_timeout=0.05)
        both.backend.shutdown_write()
        assert await both.client.recv(timeout=5) == b""
        assert await both.end() is End.IDLE

    run(main())


def test_idle(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=0.08)
        for _ in range(6):
            await asyncio.sleep(0.04)
            await both.client.send_all(b"x")
            assert await both.backend.recv(timeout=5) == b"x"
        assert both.ends == []
        assert len(loop.timers.heap) < 20
        assert await both.end() is End.IDLE
        assert await both.client.recv(timeout=5) == b""

    run(main())


@pytest.mark.parametrize(
    ("who", "other", "reason"),
    [("client", "backend", End.CLIENT_SEND_TIMEOUT), ("backend", "client", End.BACKEND_SEND_TIMEOUT)],
)
def test_send_timeout(who: str, other: str, reason: End, connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=5, send_timeouts=(0.05, 0.05))
        writing = spawn(getattr(both, other).send_all(os.urandom(16 << 20), 5))
        assert await both.end() is reason
        with pytest.raises(NetError):
            await writing.join()

    run(main())


def test_a_reader_that_is_slow_but_reads_has_its_time(connected: Connected, loop: Loop, run: Run) -> None:
    """The send timeout is between two writes, and idleness does not count while something is due."""

    async def main() -> None:
        both = Both(loop, connected, idle_timeout=0.06, send_timeouts=(0.3, 0.3))
        writing = spawn(both.backend.send_all(os.urandom(8 << 20), 5))
        for _ in range(10):
            await asyncio.sleep(0.03)
            await both.client.recv(1 << 20, 1)
        assert both.ends == []
        writing.cancel()
        both.tunnel.close()

    run(main())


def test_closed_at_will(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        both.tunnel.inject(both.tunnel.client, b"\x88\x02\x03\xf4")
        both.tunnel.close(End.SHUTDOWN)
        both.tunnel.close(End.SHUTDOWN)
        assert await both.client.recv(timeout=5) == b"\x88\x02\x03\xf4"
        assert await both.client.recv(timeout=5) == b""
        assert both.ends == [(End.SHUTDOWN, 0, 0)]

    run(main())


def test_injected_bytes_follow_what_is_unsent(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        data = os.urandom(8 << 20)
        writing = spawn(both.backend.send_all(data, 5))
        await asyncio.sleep(0.05)
        both.tunnel.inject(both.tunnel.client, b"injected")
        reading = spawn(read_all(both.client))
        await writing.join()
        both.backend.close()
        got = await reading.join()
        assert len(got) == len(data) + 8
        assert got.replace(b"injected", b"") == data

    run(main())


def test_a_tap_sees_everything_once(connected: Connected, loop: Loop, run: Run) -> None:
    data = os.urandom(4 << 20)

    async def main() -> None:
        both = Both(loop, connected)
        seen = bytearray()

        def make(send: Send) -> Send:
            def show_and_send(view: memoryview) -> int:
                sent = send(view)
                seen.extend(view)
                return sent

            return show_and_send

        both.tunnel.tap(both.tunnel.backend, make)
        writing = spawn(both.backend.send_all(data, 5))
        await asyncio.sleep(0.05)
        got = bytearray()
        while len(got) < len(data):
            got += await both.client.recv(65536, 5)
        assert writing.done
        assert got == data
        await both.client.send_all(b"not tapped")
        await both.backend.recv(timeout=5)
        both.tunnel.tap(both.tunnel.backend, None)
        await both.backend.send_all(b"no more")
        assert await both.client.recv(timeout=5) == b"no more"
        assert seen == data

    run(main())


def test_released_sockets_live_on(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        client, backend, to_client, to_backend = both.tunnel.release()
        assert loop.tunnels == set()
        assert (to_client, to_backend) == (b"", b"")
        again = relay(Stream(client, loop), Stream(backend, loop), on_end=both.ended)
        await both.client.send_all(b"handed over")
        assert await both.backend.recv(timeout=5) == b"handed over"
        again.close()
        assert both.ends == [(End.SHUTDOWN, 11, 0)]

    run(main())


def test_nothing_is_left_of_a_tunnel_without_the_collector(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        gc.collect()
        gc.disable()
        try:
            client, near = connected()
            backend, far = connected()
            tunnel = relay(near, far, idle_timeout=60, on_end=lambda *_: None)
            left, right = tunnel.client, tunnel.backend
            del near, far
            await client.send_all(b"x")
            await backend.recv(timeout=5)
            client.close()
            assert await backend.recv(timeout=5) == b""
            backend.close()
            while tunnel.reason is None:
                await asyncio.sleep(0.01)
            assert tunnel.reason is End.CLIENT_CLOSED
            alone = object()
            once = sys.getrefcount(alone)  # 1 or 2: what the argument counts for depends on the interpreter
            assert sys.getrefcount(left) == once
            assert sys.getrefcount(right) == once
            assert sys.getrefcount(tunnel) == once
        finally:
            gc.enable()

    run(main())
