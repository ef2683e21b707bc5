"""One HTTP/2 connection and its streams: fair, bounded, and gone for all when it is gone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.fiber import spawn
from penstock.net.h2.sending import HIGH
from penstock.net.h2.session import Over
from penstock.net.loop import Loop
from unit.net.h2.connections import OK, Connection, turns, until

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_what_waits_for_the_socket_is_bounded(loop: Loop, run: Run) -> None:
    """However many streams write, to a peer that reads nothing."""

    async def main() -> None:
        connection = Connection(loop, window=1 << 20)
        pairs = [await connection.pair() for _ in range(8)]
        connection.fibers[0].cancel()
        writers = [spawn(ours.send_all(bytes(1 << 20), 5)) for ours, _ in pairs]
        for each in writers:
            each.keep_error = True
        await turns(200)
        assert connection.client.backlog <= HIGH + 16384 + 9
        assert not any(each.done for each in writers)
        for each in writers:
            each.cancel()
        connection.far.close()
        await connection.fibers[1].join()

    run(main())


def test_long_streams_keep_nobody_waiting(loop: Loop, run: Run) -> None:
    """A short one that begins later is through long before they are."""

    async def main() -> None:
        connection = Connection(loop, window=8 << 20)
        long = [await connection.pair() for _ in range(3)]
        short, theirs = await connection.pair()
        writers = [spawn(ours.send_all(bytes(4 << 20), 5, ended=True)) for ours, _ in long]
        await short.send_all(b"short", 2, ended=True)
        assert await theirs.recv(100, 2) == b"short"
        assert not any(each.done for each in writers)
        held = [lane.held for _, lane in long]
        assert max(held) - min(held) <= 3 * 65536, "a frame each is the round"
        for each in writers:
            await each.join()
        for _, lane in [*long, (short, theirs)]:
            lane.close()
        await connection.close()

    run(main())


def test_all_streams_are_told_when_the_connection_is_gone(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        lanes = [(await connection.pair())[1] for _ in range(3)]
        readers = [spawn(lane.recv(100, 5)) for lane in lanes]
        for each in readers:
            each.keep_error = True
        await turns()
        connection.server.lose(TimedOut())
        for each in readers:
            with pytest.raises(TimedOut):
                await each.join()
        await until(lambda: bool(connection.ended))
        assert isinstance(connection.ended[0], TimedOut)
        for lane in lanes:
            lane.close()
        assert connection.idle == 1
        connection.far.close()
        await connection.fibers[1].join()

    run(main())


def test_end_stops_who_reads_and_lets_streams_go_on(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair(ended=True)
        connection.server.end()
        await until(lambda: bool(connection.ended))
        assert isinstance(connection.ended[0], Over)
        theirs.head(OK)
        await theirs.send_all(b"still said", 2, ended=True)
        assert await ours.recv(100, 2) == b"still said"
        assert await connection.server.sent()
        theirs.close()
        connection.far.close()
        await connection.fibers[1].join()

    run(main())


def test_what_is_said_in_one_turn_leaves_in_one_write(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        pairs = [await connection.pair(ended=True) for _ in range(5)]
        await turns()
        writes: list[int] = []
        real = connection.far.send_now

        def counted(data: Any) -> int:
            writes.append(len(data))
            return real(data)

        connection.server.stream = _Counting(connection.far, counted)  # type: ignore[assignment]
        for _, theirs in pairs:
            theirs.head(OK)
            theirs.send_now(b"hello", ended=True)
        await turns()
        assert len(writes) == 1
        connection.server.stream = connection.far
        for _, theirs in pairs:
            theirs.close()
        await connection.close()

    run(main())


class _Counting:
    """A stream whose writes are counted."""

    def __init__(self, stream: Any, send_now: Callable[[Any], int]) -> None:
        self._stream = stream
        self.send_now = send_now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def test_a_connection_that_breaks_the_protocol_ends_for_all(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair()
        connection.client.wire.out += b"\0\0\4\x08\0\0\0\0\0\0\0\0\0"  # WINDOW_UPDATE by nothing
        connection.client.flush()
        await until(lambda: connection.fibers[0].done)
        with pytest.raises(Exception, match=r"increment|window|protocol|WINDOW"):
            await connection.fibers[0].join()
        connection.server.lose(PeerGone(104))
        with pytest.raises(NetError):
            await theirs.recv(100, 1)
        theirs.close()
        connection.far.close()
        await connection.fibers[1].join()
        assert ours.lost

    run(main())
