"""What streams carry, over TCP and unix sockets."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import PeerGone, TimedOut
from penstock.net.fiber import spawn
from penstock.net.loop import Loop
from penstock.net.stream import Stream

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Pair = tuple[Stream, Stream]
Connected = Callable[[], Pair]


async def echo(stream: Stream) -> None:
    while data := await stream.recv():
        await stream.send_all(data)
    stream.close()


def test_bytes_go_and_come(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        spawn(echo(far))
        await near.send_all(b"one")
        assert await near.recv() == b"one"
        await near.send_all([b"two", bytearray(b"three"), memoryview(b""), memoryview(b"four")])
        assert await near.recv() == b"twothreefour"
        near.shutdown_write()
        assert await near.recv(timeout=5) == b""
        assert (near.sent, near.received) == (15, 15)

    run(main())


def test_a_slow_reader_slows_the_writer(pair: Pair, run: Run) -> None:
    near, far = pair
    data = os.urandom(3 << 20)

    async def reads() -> bytes:
        got = bytearray()
        while piece := await far.recv(65536, 5):
            got += piece
        return bytes(got)

    async def main() -> None:
        reader = spawn(reads())
        await near.send_all([data[: 1 << 20], data[1 << 20 : 2 << 20]], 5)
        await near.send_all(data[2 << 20 :], 5)
        near.shutdown_write()
        assert await reader.join() == data

    run(main())


def test_many_buffers(pair: Pair, run: Run) -> None:
    near, far = pair
    pieces = [bytes([i % 256]) * (i % 700) for i in range(4000)]

    async def reads() -> bytes:
        got = bytearray()
        while piece := await far.recv(65536, 5):
            got += piece
        return bytes(got)

    async def main() -> None:
        reader = spawn(reads())
        await near.send_all(pieces, 5)
        near.shutdown_write()
        assert await reader.join() == b"".join(pieces)

    run(main())


def test_unread(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        far.send_now(b"GET / HTTP/1.1")
        data = await near.recv()
        near.unread(data[4:])
        near.unread(data[:4])
        assert near.recv_now(3) == b"GET"
        assert await near.recv() == b" / HTTP/1.1"
        with pytest.raises(TimedOut):
            await near.recv(timeout=0.02)
        assert near.received == len(data)

    run(main())


def test_what_has_been_read_again_leaves_nothing(pair: Pair) -> None:
    near, far = pair
    near.unread(b"again")
    assert not near.is_drained()
    assert near.recv_now() == b"again"
    assert near.ready and near.is_drained() and not near.ready
    near.ready = True
    far.send_now(b"more")
    assert not near.is_drained()
    assert near.recv_now() == b"more"
    far.close()
    near.ready = True
    assert not near.is_drained(), "the end is none"


def test_recv_now(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        assert near.recv_now() is None
        far.send_now(b"x")
        await near.readable(1)
        assert near.recv_now() == b"x"
        far.close()
        await near.readable(1)
        assert near.recv_now() == b""

    run(main())


def test_send_now_gives_zero_when_full(pair: Pair) -> None:
    near, _ = pair
    for _ in range(10000):
        if near.send_now(b"x" * 65536) == 0:
            return
    raise AssertionError("never full")


def test_reset_is_peer_gone(connected: Connected, run: Run) -> None:
    near, far = connected()

    async def main() -> None:
        waiting = spawn(near.recv())
        far.abort()
        with pytest.raises(PeerGone) as gone:
            await waiting.join()
        assert gone.value.errno == errno.ECONNRESET
        assert str(gone.value) == "recv() failed (104: Connection reset by peer)"
        with pytest.raises(PeerGone) as gone:
            near.send_now(b"x")
        assert gone.value.errno == errno.EPIPE

    run(main())


def test_sendfile(pair: Pair, run: Run) -> None:
    near, far = pair
    data = os.urandom(1 << 20)

    async def reads() -> bytes:
        got = bytearray()
        while piece := await far.recv(65536, 5):
            got += piece
        return bytes(got)

    async def main() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            reader = spawn(reads())
            assert await near.sendfile(file.fileno(), 100, len(data) - 100, 5) == len(data) - 100
            assert await near.sendfile(file.fileno(), len(data) - 5, 100, 5) == 5
        near.shutdown_write()
        assert await reader.join() == data[100:] + data[-5:]

    run(main())


def test_peek_leaves_the_bytes(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        far.send_now(b"PROXY")
        assert await near.peek(timeout=5) == b"PROXY"

        async def more() -> None:
            await asyncio.sleep(0.02)
            far.send_now(b" TCP4")

        spawn(more())
        assert await near.peek(5, timeout=5) == b"PROXY TCP4"
        assert await near.recv() == b"PROXY TCP4"
        far.send_now(b"end")
        far.shutdown_write()
        assert await near.peek(3, timeout=5) == b"end"

    run(main())


def test_peek_does_not_spin_on_the_bytes_it_has_seen(connected: Connected, run: Run, loop: Loop) -> None:
    near, far = connected()

    async def main() -> int:
        far.send_now(b"half")
        await near.peek(timeout=1)
        events = 0
        real = near._on_event

        def counting(mask: int) -> None:
            nonlocal events
            events += 1
            real(mask)

        loop.hot.handlers[near.fd] = counting
        with pytest.raises(TimedOut):
            await near.peek(4, timeout=0.05)
        assert near.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
        return events

    assert run(main()) <= 1


def test_lingering_close_reads_and_drops(connected: Connected, run: Run) -> None:
    near, far = connected()

    async def main() -> None:
        near.send_now(b"answer")
        closing = spawn(near.lingering_close(5, 1))
        for _ in range(5):
            far.send_now(b"x" * 1000)
            await asyncio.sleep(0.005)
        assert not closing.done
        assert await far.recv() == b"answer"
        assert await far.recv() == b""
        far.close()
        await closing.join()
        assert near.closed

    run(main())


def test_lingering_close_ends_in_time(connected: Connected, run: Run) -> None:
    near, far = connected()

    async def main() -> None:
        await near.lingering_close(5, 0.02)
        assert near.closed
        assert await far.recv(timeout=5) == b""

    run(main())


def test_names(connected: Connected) -> None:
    near, far = connected()
    assert near.peer_name == far.local_name
    assert near.local_name == far.peer_name


@pytest.mark.parametrize("unread", [False, True])
def test_the_last_bytes_leave_with_the_end(pair: Pair, run: Run, unread: bool) -> None:
    """Also where the peer has said something that nobody reads any more."""
    near, far = pair

    async def main() -> None:
        if unread:
            far.send_now(b"and another thing")
        assert near.send_last(b"goodbye") == 7
        near.shutdown_write()
        near.close()
        assert await far.recv(timeout=5) == b"goodbye"

    run(main())
