"""An HTTP/2 connection of which we are the client: what it allows, and how its streams end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import NetError
from penstock.net.h2.client import RESETS, Given
from penstock.net.h2.stream import CANCEL
from penstock.net.loop import Loop
from unit.net.h2.connections import OK, Connection, turns, until

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_one_stream_at_a_time_until_the_peer_has_said_what_it_takes(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        assert connection.client.silent
        assert connection.client.allowed == 1
        await until(lambda: connection.client.known)
        assert not connection.client.silent
        assert connection.client.allowed == 10
        await connection.close()

    run(main())


def test_no_more_streams_than_the_peer_allows(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        pairs = [await connection.pair() for _ in range(10)]
        assert not connection.client.usable
        pairs[0][0].close()
        assert connection.client.usable
        for ours, theirs in pairs[1:]:
            ours.close()
            theirs.close()
        await connection.close()

    run(main())


def test_an_answer_that_is_here_wholly_stays_when_the_connection_goes(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair(ended=True)
        theirs.head(OK)
        theirs.send_now(b"all of it", ended=True)
        await until(lambda: ours.ended)
        assert len(ours.heads) == 1
        connection.far.close()
        await connection.fibers[1].join()
        assert await ours.recv(100, 1) == b"all of it"
        assert await ours.recv(100, 1) == b""
        ours.close()

    run(main())


def test_goaway_takes_only_the_streams_that_were_not_begun_with(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair(ended=True)
        connection.server.wire.goaway()
        connection.server.flush()
        await until(lambda: connection.client.wire.leaving)
        assert not connection.client.usable
        theirs.head(OK)
        theirs.send_now(b"still answered", ended=True)
        assert await ours.recv(100, 2) == b"still answered"
        theirs.close()
        ours.close()
        await connection.close()

    run(main())


def test_a_reset_is_told_in_words(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        ours, theirs = await connection.pair(ended=True)
        theirs.reset(7)
        with pytest.raises(Given, match=r"rejected request with error 7 \(REFUSED_STREAM\)") as told:
            await ours.recv(100, 2)
        assert told.value.unprocessed, "another server may be asked"
        ours.close()
        theirs.close()
        await connection.close()

    run(main())


def test_a_connection_on_which_we_have_reset_many_streams_takes_no_more(loop: Loop, run: Run) -> None:
    """A backend might take them for an attack, and end it with everybody on it."""

    async def main() -> None:
        connection = Connection(loop)
        for _ in range(RESETS):
            assert connection.client.usable
            ours, theirs = await connection.pair()
            ours.close(CANCEL)
            await turns(4)
            theirs.close()
        assert not connection.client.usable
        await connection.close()

    run(main())


def test_who_speaks_http_1_is_told_apart(loop: Loop, run: Run) -> None:
    async def main() -> None:
        connection = Connection(loop)
        connection.fibers[0].cancel()
        connection.far.send_now(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        try:
            await connection.fibers[1].join()
        except NetError:
            pass
        assert connection.client.why
        connection.far.close()

    run(main())
