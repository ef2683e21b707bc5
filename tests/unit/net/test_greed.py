"""Whoever never has to wait lets others have a turn all the same."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.net.fiber import spawn
from penstock.net.loop import IN, Loop
from penstock.net.stream import READ_SIZE, Stream
from penstock.net.waiting import GREED

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Flood(Stream):
    """A peer that is always ahead of us."""

    def recv_now(self, limit: int = READ_SIZE) -> bytes | None:
        self.ready = True
        return bytes(limit)


def test_a_flood_that_is_read_does_not_starve_others(loop: Loop, run: Run) -> None:
    near, far = socket.socketpair()
    other, knock = socket.socketpair()
    for sock in (near, other):
        sock.setblocking(False)
    reads = 0
    heard: list[int] = []

    def hear(_mask: int) -> None:
        other.recv(1)
        heard.append(reads)

    async def read() -> None:
        nonlocal reads
        stream = Flood(near, loop)
        stream.ready = True
        for reads in range(500):
            if reads == 100:
                knock.send(b"x")
            await stream.recv()

    loop.hot.watch(other.fileno(), IN, hear)
    with far, near, other, knock:
        run(read())
        loop.hot.forget(other.fileno())
    assert heard
    assert heard[0] <= 100 + 2 * GREED


def test_a_long_file_does_not_starve_others(loop: Loop, run: Run) -> None:
    near, far = socket.socketpair()
    for sock in (near, far):
        sock.setblocking(False)
    size = 8 << 20
    turns: list[float] = []

    async def send() -> None:
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            stream = Stream(near, loop)
            spawn(read(Stream(far, loop)))
            assert await stream.sendfile(file.fileno(), 0, size) == size
            stream.close()

    async def read(stream: Stream) -> None:
        while await stream.recv(1 << 20):
            turns.append(loop.hot.now)
        stream.close()

    run(send())
    assert len(set(turns)) > 2


def test_giving_others_a_turn_can_be_cancelled(loop: Loop, run: Run) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)

    async def read() -> None:
        stream = Flood(near, loop)
        stream.ready = True
        while True:
            await stream.recv()

    async def main() -> None:
        fiber = spawn(read())
        fiber.cancel()
        assert fiber.done
        waiting = Stream(near, loop)
        far.send(b"later")
        assert await waiting.recv(timeout=5) == b"later"
        waiting.close()

    with far:
        run(main())
