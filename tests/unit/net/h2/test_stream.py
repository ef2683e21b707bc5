"""One stream of HTTP/2, read and written like a socket: windows, waiting, ends and resets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.fiber import spawn
from penstock.net.h2.stream import CRUMBS
from penstock.net.loop import Loop
from penstock.net.waiting import Closed
from unit.net.h2.connections import OK, Connection, turns, until

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_what_is_sent_is_read_and_then_the_end(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair()
        await ours.send_all([b"one ", b"two"], 2, ended=True)
        assert await theirs.recv(100, 2) == b"one two"
        assert await theirs.recv(100, 2) == b""
        theirs.head(OK)
        await theirs.send_all(b"answer", 2, ended=True)
        assert await ours.recv(100, 2) == b"answer"
        assert await ours.recv(100, 2) == b""
        assert theirs.wire_sent == len(OK) + 9 + 6 + 9
        theirs.close()
        ours.close()
        await connection.close()

    run(main())


def test_a_whole_answer_is_written_where_there_is_room_for_it(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair()
        await ours.send_all(b"", 2, ended=True)
        room, theirs.half.may_send = theirs.half.may_send, 3
        assert not theirs.session.answer(theirs, OK, b"body") and not theirs.wire_sent
        theirs.half.may_send, theirs.chunk = room, 3
        assert not theirs.session.answer(theirs, OK, b"body")
        theirs.chunk = 4
        assert theirs.session.answer(theirs, OK, b"body")
        assert theirs.finished and theirs.wire_sent == len(OK) + 9 + 4 + 9
        assert await ours.recv(100, 2) == b"body"
        assert await ours.recv(100, 2) == b""
        theirs.lose(104)
        assert not theirs.session.answer(theirs, OK, b"body")
        theirs.close()
        ours.close()
        await connection.close()

    run(main())


def test_a_reader_gets_no_more_than_it_asks_for_and_may_give_back(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair()
        await ours.send_all(b"abcdef", 2)
        assert await theirs.recv(2, 2) == b"ab"
        assert await theirs.recv(2, 2) == b"cd"
        theirs.unread(b"cd")
        assert await theirs.recv(3, 2) == b"cd"
        assert await theirs.recv(3, 2) == b"ef"
        theirs.close()
        await connection.close()

    run(main())


def test_a_peer_sends_no_more_than_the_window_until_it_is_read(loop: Loop, run: Run) -> None:
    data = os.urandom(200_000)

    async def main() -> None:
        connection = Connection(loop, window=1000)
        ours, theirs = await connection.pair()
        writing = spawn(ours.send_all(data, 5, ended=True))
        await turns(100)
        assert theirs.held == 1000
        assert not writing.done
        got = bytearray()
        while piece := await theirs.recv(300, 2):
            got += piece
            assert theirs.held <= 1000
        await writing.join()
        assert got == data
        theirs.close()
        await connection.close()

    run(main())


def test_small_pieces_that_nobody_reads_are_put_together(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair()
        for _ in range(1000):
            ours.send_now(b"x")
        await until(lambda: theirs.held == 1000)
        assert len(theirs.inbox) <= 1 + 1000 // (CRUMBS // 2)
        theirs.close()
        await connection.close()

    run(main())


def test_a_file_is_sent_as_there_is_room(loop: Loop, run: Run) -> None:
    data = os.urandom(150_000)

    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair(ended=True)
        theirs.head(OK)
        with tempfile.TemporaryFile() as file:
            file.write(b"skipped" + data)
            file.flush()
            sending = spawn(theirs.sendfile(file.fileno(), 7, len(data), 5, ended=True))
            got = bytearray()
            while piece := await ours.recv(65536, 2):
                got += piece
            assert await sending.join() == len(data)
        assert got == data
        ours.close()
        theirs.close()
        await connection.close()

    run(main())


def test_who_waits_is_told_of_a_reset(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop, window=100)
        ours, theirs = await connection.pair()
        writing = spawn(ours.send_all(bytes(1000), 5))
        writing.keep_error = True
        assert len(await theirs.recv(100, 2)) == 100
        theirs.window = 0  # it is not let send on
        while theirs.inbox:
            await theirs.recv(100, 2)
        reading = spawn(theirs.recv(100, 5))
        reading.keep_error = True
        await turns()
        while not reading.done and theirs.held:
            await turns()
        if reading.done:
            reading = spawn(theirs.recv(100, 5))
            reading.keep_error = True
            await turns()
        assert not reading.done
        ours.reset(8)
        with pytest.raises(PeerGone):
            await reading.join()
        with pytest.raises(NetError):
            await writing.join()
        with pytest.raises(PeerGone):
            theirs.send_now(b"late")
        theirs.close()
        await connection.close()

    run(main())


def test_on_hangup_is_called_once_where_nobody_waits(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair()
        called: list[bool] = []
        theirs.on_hangup = lambda: called.append(True)
        ours.reset(8)
        await until(lambda: theirs.hung_up)
        theirs.lose(104)
        assert called == [True]
        theirs.close()
        await connection.close()

    run(main())


def test_waiting_has_its_time(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop, window=100)
        ours, theirs = await connection.pair()
        with pytest.raises(TimedOut):
            await theirs.recv(100, 0.02)
        with pytest.raises(TimedOut):
            await ours.send_all(bytes(1000), 0.02)
        theirs.close()
        await connection.close()

    run(main())


@pytest.mark.parametrize(("kind", "raised"), [(PeerGone, PeerGone), (TimedOut, TimedOut), (Closed, Closed)])
def test_what_is_raised_says_whose_doing_it_was(
    loop: Loop, run: Run, kind: type[NetError], raised: type[NetError]
) -> None:
    async def main() -> None:
        connection = Connection(loop)
        _, theirs = await connection.pair()
        theirs.lose(104, kind)
        with pytest.raises(raised):
            await theirs.recv(100, 1)
        with pytest.raises(raised):
            theirs.head(OK)
        theirs.close()
        await connection.close()

    run(main())


@pytest.mark.parametrize(("answered", "whole", "code"), [(False, False, 2), (True, False, 0), (True, True, None)])
def test_letting_go_resets_only_what_is_not_done(
    loop: Loop, run: Run, answered: bool, whole: bool, code: int | None
) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair(ended=whole)
        theirs.head(OK, ended=answered)
        await turns()
        theirs.close()
        await until(lambda: not connection.server.lanes)
        await turns()
        assert connection.idle == 1
        assert bool(ours.lost) == (code is not None)
        if code:
            assert f"error {code}" in str(ours.fault)
        ours.close()
        await connection.close()

    run(main())
