"""What is posted to a stream: when it leaves, in which order, and what becomes of it when it can not."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import PeerGone
from penstock.net.fiber import spawn
from penstock.net.loop import Loop
from penstock.net.posting import CROWD
from penstock.net.stream import Closed, Stream
from penstock.net.tls.tls import TlsStream

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Pair = tuple[Stream, Stream]
Connected = Callable[[], Pair]
Secured = Callable[[], Coroutine[Any, Any, tuple[TlsStream, TlsStream]]]


async def fill(stream: Stream) -> int:
    """Send until the kernel takes no more, a moment later either: how much that was."""
    total = 0
    while True:
        before = total
        while count := stream.send_now(bytes(65536)):
            total += count
        if total == before:
            return total
        await asyncio.sleep(0.05)


async def read_all(stream: Stream) -> bytes:
    got = bytearray()
    while piece := await stream.recv(65536, 5):
        got += piece
    return bytes(got)


def test_it_leaves_when_the_turn_ends(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        assert near.post(b"one")
        assert far.recv_now() is None
        assert near.sent == 0
        assert await far.recv(timeout=5) == b"one"
        assert near.sent == 3

    run(main())


@pytest.mark.parametrize("then", ["send_now", "send_all", "a sequence", "sendfile"])
def test_what_is_sent_after_it_arrives_after_it(pair: Pair, run: Run, then: str) -> None:
    near, far = pair

    async def main() -> None:
        near.post(b"first ")
        if then == "send_now":
            near.send_now(b"second")
        elif then == "send_all":
            await near.send_all(b"second")
        elif then == "a sequence":
            await near.send_all([b"sec", b"ond"])
        else:
            with tempfile.TemporaryFile() as file:
                file.write(b"second")
                file.flush()
                assert await near.sendfile(file.fileno(), 0, 6, timeout=5) == 6
        near.post(b" third")
        near.close()
        assert await read_all(far) == b"first second third"

    run(main())


@pytest.mark.parametrize("end", ["close", "shutdown_write", "release"])
def test_it_leaves_before_the_stream_ends(pair: Pair, run: Run, end: str) -> None:
    near, far = pair

    async def main() -> None:
        near.post(b"the last word")
        if end == "release":
            sock, _, _ = near.release()
            sock.close()
        else:
            getattr(near, end)()
        assert await read_all(far) == b"the last word"

    run(main())


def test_what_does_not_fit_follows_while_the_stream_is_read(pair: Pair, run: Run) -> None:
    near, far = pair

    async def reads() -> bytes:
        return await near.recv(timeout=5)

    async def main() -> None:
        filled = await fill(near)
        near.post(b"x" * 10000)
        waiting = spawn(reads())
        await asyncio.sleep(0.05)
        got = 0
        while got < filled + 10000:
            got += len(await far.recv(65536, 5))
        # It was sent without the reader having noticed, who is given what comes now.
        far.send_now(b"thank you")
        assert await waiting.join() == b"thank you"
        assert near.sent == filled + 10000

    run(main())


def test_what_does_not_fit_goes_before_what_is_sent_then(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        filled = await fill(near)
        near.post(b"x" * 10000)
        await asyncio.sleep(0.05)
        assert near.send_now(b"y") == 0
        reader = spawn(read_all(far))
        await near.send_all(b"y" * 10000, 5)
        near.close()
        assert (await reader.join())[filled:] == b"x" * 10000 + b"y" * 10000

    run(main())


def test_what_nobody_reads_does_not_heap_up(pair: Pair, run: Run) -> None:
    near, _ = pair

    async def main() -> None:
        filled = await fill(near)
        assert near.post(b"x" * 10000)
        for _ in range(3):
            assert not near.post(b"y" * 10000)
            assert near.send_now(b"y" * 10000) == 0
            await asyncio.sleep(0.01)
        assert near.sent < filled + 10000

    run(main())


def test_closing_gives_up_what_does_not_fit(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        filled = await fill(near)
        near.post(b"x" * 10000)
        await asyncio.sleep(0.05)
        near.close()
        assert len(await read_all(far)) == filled

    run(main())


def test_who_reads_learns_that_the_peer_has_gone(connected: Connected, run: Run) -> None:
    near, far = connected()

    async def reads() -> None:
        with pytest.raises(PeerGone) as found:
            await near.recv(timeout=5)
        assert found.value.errno == errno.ECONNRESET, "the system says it once"

    async def main() -> None:
        far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        near.post(b"are you there?")
        await spawn(reads()).join()

    run(main())


def test_a_failure_that_nobody_waits_for_is_told_to_the_next_read(connected: Connected, run: Run) -> None:
    near, far = connected()

    async def main() -> None:
        far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        near.post(b"are you there?")
        while not near.ready:
            await asyncio.sleep(0.01)
        try:
            assert await near.recv(timeout=5) == b""
        except PeerGone:
            pass  # the kernel tells it once: to the sending, or to the reading

    run(main())


def test_a_crowd_does_not_wait_for_the_end_of_the_turn(connected: Connected, run: Run) -> None:
    pairs = [connected() for _ in range(CROWD + 1)]

    async def main() -> None:
        for number, (near, _) in enumerate(pairs):
            near.post(b"%d" % number)
        assert [far.recv_now() for _, far in pairs[:CROWD]] == [b"%d" % number for number in range(CROWD)]
        last = pairs[CROWD][1]
        assert last.recv_now() is None
        assert await last.recv(timeout=5) == b"%d" % CROWD

    run(main())


def test_a_stream_that_was_closed_meanwhile_harms_nobody(connected: Connected, run: Run, loop: Loop) -> None:
    one, other = connected(), connected()

    async def main() -> None:
        one[0].post(b"one")
        other[0].post(b"other")
        one[0].close()
        assert await other[1].recv(timeout=5) == b"other"
        assert loop.hot.outbox == []
        with pytest.raises(Closed):
            await one[0].recv(timeout=5)

    run(main())


def test_over_tls(secured: Secured, run: Run) -> None:
    async def main() -> None:
        client, server = await secured()
        server.post(b"posted ")
        assert client.recv_now() is None
        server.send_now(b"sent ")
        server.post(b"and posted")
        server.close()
        assert await read_all(client) == b"posted sent and posted"
        client.close()

    run(main())


def test_over_tls_what_does_not_fit_follows(secured: Secured, run: Run) -> None:
    async def reads(stream: Stream) -> bytes:
        return await stream.recv(timeout=5)

    async def main() -> None:
        client, server = await secured()
        filled = 0
        delivered = True
        while delivered:
            server.post(b"x" * 10000)
            filled += 10000
            delivered = server.deliver()
        waiting = spawn(reads(server))
        got = 0
        while got < filled:
            got += len(await client.recv(65536, 5))
        client.send_now(b"thank you")
        assert await waiting.join() == b"thank you"
        client.close()
        server.close()

    run(main())
