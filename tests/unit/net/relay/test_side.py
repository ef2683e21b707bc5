"""One end of a tunnel: slow, half-closed and reset peers, over TCP and unix sockets."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import NetError
from penstock.net.fiber import spawn
from penstock.net.loop import Loop
from penstock.net.relay.tunnel import End
from penstock.net.relay.views import SIZE
from penstock.net.stream import Stream
from unit.net.tunnels import Both, read_all

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]


def test_a_slow_reader_holds_the_sender_back(make: Connected, loop: Loop, run: Run) -> None:
    """Nothing is read while nothing can be sent; what is kept is at most a buffer; no byte is lost."""
    data = os.urandom(8 << 20)

    async def main() -> None:
        both = Both(loop, make)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        writing = spawn(both.backend.send_all(data, 5))
        await asyncio.sleep(0.1)
        assert not writing.done
        unsent = both.tunnel.client.unsent
        assert unsent is not None
        assert len(unsent) <= SIZE
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
        await both.client.send_all(b"the other direction is free")
        assert await both.backend.recv(timeout=5) == b"the other direction is free"
        reading = spawn(read_all(both.client))
        await writing.join()
        both.backend.shutdown_write()
        assert await reading.join() == data
        assert both.tunnel.client.unsent is None
        assert both.tunnel.from_backend == len(data)

    run(main())


def test_fin_comes_after_what_was_unsent(make: Connected, loop: Loop, run: Run) -> None:
    data = os.urandom(1 << 20)

    async def main() -> None:
        both = Both(loop, make)
        writing = spawn(both.client.send_all(data * 4, 5))
        await asyncio.sleep(0.05)
        reading = spawn(read_all(both.backend))
        await writing.join()
        both.client.close()
        assert await reading.join() == data * 4
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED

    run(main())


def test_both_blocked_at_once(make: Connected, loop: Loop, run: Run) -> None:
    data = os.urandom(4 << 20)

    async def main() -> None:
        both = Both(loop, make)
        up, down = spawn(both.client.send_all(data, 5)), spawn(both.backend.send_all(data, 5))
        while not (both.tunnel.client.unsent and both.tunnel.backend.unsent):
            await asyncio.sleep(0.01)
        first, second = spawn(read_all(both.backend)), spawn(read_all(both.client))
        await up.join()
        await down.join()
        both.client.shutdown_write()
        both.backend.shutdown_write()
        assert await first.join() == data
        assert await second.join() == data
        await both.end()

    run(main())


@pytest.mark.parametrize(("who", "reason"), [("client", End.CLIENT_RESET), ("backend", End.BACKEND_RESET)])
def test_reset(who: str, reason: End, connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        getattr(both, who).abort()
        assert await both.end() is reason
        assert both.tunnel.errno == 104
        other = both.backend if who == "client" else both.client
        assert await other.recv(timeout=5) == b""

    run(main())


def test_a_reset_while_the_other_is_slow_does_not_spin(connected: Connected, loop: Loop, run: Run) -> None:
    """The backend is reset with bytes held for a client that does not read: they still reach it."""

    async def main() -> None:
        both = Both(loop, connected)
        writing = spawn(both.backend.send_all(os.urandom(8 << 20), 5))
        await asyncio.sleep(0.05)
        writing.cancel()
        both.backend.abort()
        polls = 0
        real = loop.hot._epoll

        class Counting:
            def poll(self, *args: Any) -> Any:
                nonlocal polls
                polls += 1
                return real.poll(*args)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        loop.hot._epoll = Counting()  # type: ignore[assignment]
        await asyncio.sleep(0.05)
        loop.hot._epoll = real
        assert polls < 20
        while await both.client.recv(65536, 1):
            pass
        assert await both.end() is End.BACKEND_RESET

    run(main())


def test_the_last_words_of_a_backend_that_closed_wholly(make: Connected, loop: Loop, run: Run) -> None:
    """It answers, closes, and what the client sends meanwhile provokes a reset: the answer arrives all the
    same."""

    async def main() -> None:
        both = Both(loop, make)
        await both.client.send_all(b"x")
        await both.backend.recv(timeout=5)
        both.backend.send_now(b"last words")
        both.client.send_now(b"y")
        both.backend.close()
        both.client.send_now(b"z")
        assert await both.client.recv(timeout=5) == b"last words"
        with pytest.raises(NetError):
            while await both.client.recv(timeout=5):
                pass
            await both.end()
            raise NetError
        assert both.ends[0][0] in (End.BACKEND_CLOSED, End.BACKEND_RESET)

    run(main())


def test_half_close_of_the_client(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, make)
        await both.client.send_all(b"all I have to say")
        both.client.shutdown_write()
        assert await read_all(both.backend) == b"all I have to say"
        await both.backend.send_all(b"thank you")
        assert await both.client.recv(timeout=5) == b"thank you"
        assert both.ends == []
        both.backend.shutdown_write()
        assert await both.client.recv(timeout=5) == b""
        assert await both.end() is End.CLIENT_CLOSED

    run(main())


def test_half_close_of_the_backend(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, make)
        both.backend.shutdown_write()
        assert await both.client.recv(timeout=5) == b""
        await both.client.send_all(b"still here")
        assert await both.backend.recv(timeout=5) == b"still here"
        both.client.close()
        assert await both.end() is End.BACKEND_CLOSED

    run(main())
