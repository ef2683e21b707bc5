"""The pool of idle connections."""

import socket
from collections.abc import Callable
from typing import Any

from penstock.net.loop import Loop, new_loop
from penstock.net.stream import Stream
from penstock.upstream.peers.keepalive import KeepAlive, KeptConnection, Pool

PLACE = ("127.0.0.1", 1)
OTHER = ("127.0.0.1", 2)
OWNER = object()


def with_lines(count: int, test: Callable[[Loop, list[KeptConnection], list[socket.socket]], None]) -> None:
    """Runs a test inside a loop, with connected lines and the far ends of them."""
    loop = new_loop()
    pairs = [socket.socketpair() for _ in range(count)]

    async def inside() -> None:
        lines = []
        for near, _ in pairs:
            near.setblocking(False)
            lines.append(KeptConnection(Stream(near, loop), PLACE, loop.hot.now))
        test(loop, lines, [far for _, far in pairs])

    try:
        loop.run(inside())
    finally:
        loop.close()
        for pair in pairs:
            for sock in pair:
                sock.close()


def test_last_in_first_out_by_address_and_owner() -> None:
    def test(loop: Loop, lines: list[KeptConnection], far: list[socket.socket]) -> None:
        pool = Pool(KeepAlive())
        lines[1].address = OTHER
        for line in lines:
            pool.put(line, OWNER, loop.hot.now)
        assert pool.take(OTHER, object()) is None, "local: another location's connection is not taken"
        assert pool.take(OTHER, OWNER) is lines[1]
        assert pool.take(PLACE, OWNER) is lines[2]
        assert pool.take(PLACE, OWNER) is lines[0]
        assert pool.take(PLACE, OWNER) is None
        assert lines[0].reused

    with_lines(3, test)


def test_shared_between_locations_unless_local() -> None:
    def test(loop: Loop, lines: list[KeptConnection], far: list[socket.socket]) -> None:
        pool = Pool(KeepAlive(local=False))
        pool.put(lines[0], OWNER, loop.hot.now)
        assert pool.take(PLACE, object()) is lines[0]

    with_lines(1, test)


def test_what_may_not_be_kept_is_closed() -> None:
    def test(loop: Loop, lines: list[KeptConnection], far: list[socket.socket]) -> None:
        pool = Pool(KeepAlive(most=2, requests=3, time=10))
        lines[0].requests = 3
        lines[1].opened -= 11
        far[2].sendall(b"what nobody asked for")
        lines[2].stream.ready = True
        for line in lines:
            pool.put(line, OWNER, loop.hot.now)
        assert [line.stream.closed for line in lines] == [True, True, True, True, False, False]
        assert len(pool) == 2, "the oldest makes room"
        pool.close()
        assert all(line.stream.closed for line in lines)

    with_lines(6, test)


def test_closed_by_the_backend_or_by_time() -> None:
    loop = new_loop()
    near, far = socket.socketpair()
    near2, far2 = socket.socketpair()
    for sock in (near, near2):
        sock.setblocking(False)

    async def inside() -> Any:
        import asyncio

        pool = Pool(KeepAlive(timeout=0.5))
        first = KeptConnection(Stream(near, loop), PLACE, loop.hot.now)
        first.stream.hot.watch(first.stream.fd, 0x2001, first.stream._on_event)
        first.stream._mask = 0x2001
        pool.put(first, OWNER, loop.hot.now)
        second = KeptConnection(Stream(near2, loop), OTHER, loop.hot.now)
        pool.put(second, OWNER, loop.hot.now)
        far.close()
        while not first.stream.closed:
            await asyncio.sleep(0.01)
        assert len(pool) == 1 and not second.stream.closed
        while not second.stream.closed:
            await asyncio.sleep(0.01)
        assert len(pool) == 0

    try:
        loop.run(inside())
    finally:
        loop.close()
        far2.close()
