"""A stream of HTTP/2 as one end of a tunnel: it behaves as a socket does."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.net.fiber import spawn
from penstock.net.h2.states import LaneState
from penstock.net.loop import Loop
from penstock.net.relay.relay import relay
from penstock.net.relay.states import FlowState
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream
from unit.net.conftest import tcp_pair
from unit.net.h2.connections import OK, Connection, until

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Tunnelled:
    """A tunnel from a stream (`ours` is the far end of it) to a backend on a socket."""

    def __init__(self, loop: Loop, window: int = 65535) -> None:
        self.loop = loop
        self.connection = Connection(loop, window)
        self.ends: list[End] = []

    async def open(self) -> Tunnel:
        self.ours, theirs = await self.connection.pair()
        theirs.head(OK)
        near, far = tcp_pair()
        self.backend = Stream(near, self.loop)
        self.lane = theirs
        self.tunnel = relay(
            theirs,  # type: ignore[arg-type]
            Stream(far, self.loop),
            idle_timeout=5,
            on_end=lambda _, reason: self.ends.append(reason),
        )
        return self.tunnel

    async def close(self) -> None:
        self.tunnel.close()
        self.backend.close()
        self.ours.close()
        await self.connection.close()


def test_bytes_go_both_ways(loop: Loop, run: Run) -> None:
    async def main() -> None:
        one = Tunnelled(loop)
        tunnel = await one.open()
        assert tunnel.transport == "h2"
        assert not tunnel.portable
        await one.ours.send_all(b"up", 2)
        assert await one.backend.recv(timeout=5) == b"up"
        await one.backend.send_all(b"down")
        assert await one.ours.recv(100, 2) == b"down"
        assert (tunnel.from_client, tunnel.from_backend) == (2, 4)
        await one.close()

    run(main())


def test_end_stream_is_fin_both_ways(loop: Loop, run: Run) -> None:
    async def main() -> None:
        one = Tunnelled(loop)
        tunnel = await one.open()
        await one.ours.send_all(b"last", 2, ended=True)
        assert await one.backend.recv(timeout=5) == b"last"
        assert await one.backend.recv(timeout=5) == b""
        assert tunnel.flows == (FlowState.ENDED, FlowState.FLOWING)
        await one.backend.send_all(b"answer")
        assert await one.ours.recv(100, 2) == b"answer"
        one.backend.shutdown_write()
        assert await one.ours.recv(100, 2) == b""
        await until(lambda: bool(one.ends))
        assert one.ends == [End.CLIENT_CLOSED]
        assert one.lane.stage is LaneState.CLOSED
        await one.close()

    run(main())


def test_a_slow_client_holds_the_backend_back(loop: Loop, run: Run) -> None:
    data = os.urandom(4 << 20)

    async def main() -> None:
        one = Tunnelled(loop)
        tunnel = await one.open()
        writing = spawn(one.backend.send_all(data, 5))
        await until(lambda: tunnel.flows[1] is FlowState.HELD)
        assert not writing.done
        got = bytearray()
        while len(got) < len(data):
            got += await one.ours.recv(65536, 2)
        await writing.join()
        assert got == data
        assert tunnel.flows[1] is FlowState.FLOWING
        await one.close()

    run(main())


def test_what_came_before_a_reset_is_delivered(loop: Loop, run: Run) -> None:
    async def main() -> None:
        one = Tunnelled(loop)
        await one.open()
        one.ours.send_now(b"last words")
        one.ours.reset(8)
        assert await one.backend.recv(timeout=5) == b"last words"
        assert await one.backend.recv(timeout=5) == b""
        await until(lambda: bool(one.ends))
        assert one.ends == [End.CLIENT_RESET]
        await one.close()

    run(main())


def test_a_reset_backend_resets_the_stream(loop: Loop, run: Run) -> None:
    async def main() -> None:
        one = Tunnelled(loop)
        await one.open()
        one.backend.abort()
        await until(lambda: bool(one.ours.lost))
        assert one.ends == [End.BACKEND_RESET]
        await one.close()

    run(main())
