"""Waiting on streams, and how little it bothers epoll."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.errors import TimedOut
from penstock.net.fiber import current, spawn
from penstock.net.loop import Loop
from penstock.net.stream import Closed, Stream, wait

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Pair = tuple[Stream, Stream]
Connected = Callable[[], Pair]


class CountingEpoll:
    """Counts the calls that change what epoll watches."""

    def __init__(self, loop: Loop) -> None:
        self.calls: list[str] = []
        self._epoll = loop.hot._epoll
        loop.hot._epoll = self  # type: ignore[assignment]

    def register(self, fd: int, mask: int) -> None:
        self.calls.append("add")
        self._epoll.register(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        self.calls.append("change")
        self._epoll.modify(fd, mask)

    def unregister(self, fd: int) -> None:
        self.calls.append("delete")
        self._epoll.unregister(fd)

    def poll(self, *args: Any) -> Any:
        return self._epoll.poll(*args)


async def echo(stream: Stream) -> None:
    while data := await stream.recv():
        await stream.send_all(data)
    stream.close()


def test_requests_and_answers_do_no_epoll_ctl(pair: Pair, run: Run, loop: Loop) -> None:
    near, far = pair

    async def main() -> list[str]:
        spawn(echo(far))
        await near.send_all(b"warm")
        await near.recv()
        counting = CountingEpoll(loop)
        for _ in range(20):
            await near.send_all(b"again")
            await near.recv(timeout=5)
        return counting.calls

    assert run(main()) == []


def test_a_pipelined_request_turns_reading_off_once(pair: Pair, run: Run, loop: Loop) -> None:
    near, far = pair

    async def main() -> list[str]:
        far.send_now(b"a")
        assert await near.recv(timeout=5) == b"a"
        counting = CountingEpoll(loop)
        far.send_now(b"b")
        while not near.ready:
            await asyncio.sleep(0.01)
        assert counting.calls == ["change"]
        far.send_now(b"c")
        await asyncio.sleep(0.01)
        assert await near.recv(timeout=5) == b"bc"
        spawn(echo(near))
        await asyncio.sleep(0.01)
        return counting.calls

    assert run(main()) == ["change", "change"]


def test_timeouts(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        with pytest.raises(TimedOut) as late:
            await near.recv(timeout=0.02)
        assert "110" in str(late.value)
        with pytest.raises(TimedOut):
            await near.send_all(b"x" * (32 << 20), timeout=0.05)
        far.send_now(b"still there")
        assert await near.recv(timeout=5) == b"still there"
        await asyncio.sleep(0.05)  # the deadlines that were met do not ring later

    run(main())


def test_hangup_is_told_once_to_who_does_not_read(pair: Pair, run: Run) -> None:
    near, far = pair
    told: list[int] = []

    async def main() -> None:
        near.on_hangup = lambda: told.append(1)
        far.send_now(b"last words")
        assert await near.recv() == b"last words"
        far.close()
        while not told:
            await asyncio.sleep(0.01)
        assert near.hung_up
        assert await near.recv(timeout=5) == b""
        await asyncio.sleep(0.01)
        assert told == [1]

    run(main())


def test_hangup_is_not_told_to_who_reads(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        near.on_hangup = lambda: pytest.fail("told")
        waiting = spawn(near.recv())
        far.close()
        assert await waiting.join() == b""
        near.close()

    run(main())


def test_a_hangup_does_not_make_the_loop_spin(connected: Connected, run: Run, loop: Loop) -> None:
    """Both directions closed: HUP is reported for ever to whoever asks."""
    near, far = connected()

    async def main() -> int:
        far.send_now(b"x")
        await near.recv()
        near.shutdown_write()
        far.close()
        await asyncio.sleep(0.02)
        polls = 0
        real = loop.hot._epoll

        class Counting:
            def poll(self, *args: Any) -> Any:
                nonlocal polls
                polls += 1
                return real.poll(*args)

        loop.hot._epoll = Counting()  # type: ignore[assignment]
        await asyncio.sleep(0.05)
        loop.hot._epoll = real
        return polls

    assert run(main()) < 10


def test_close_wakes_who_waits(pair: Pair, run: Run) -> None:
    near, _ = pair

    async def main() -> None:
        waiting = spawn(near.recv())
        near.close()
        near.close()
        with pytest.raises(Closed):
            await waiting.join()
        with pytest.raises(Closed):
            await near.recv()
        assert near.closed

    run(main())


def test_interrupt_of_a_fiber_that_waits_on_a_stream(pair: Pair, run: Run) -> None:
    near, far = pair

    async def main() -> None:
        waiting = spawn(near.recv(timeout=5))
        waiting.interrupt(KeyError("enough"))
        with pytest.raises(KeyError):
            await waiting.join()
        far.send_now(b"x")
        assert await near.recv(timeout=5) == b"x"

    run(main())


def test_wait_for_several(connected: Connected, run: Run, loop: Loop) -> None:
    client, client_peer = connected()
    # Not TCP, which may find room a moment after it had none, as the peer's kernel takes what was on the way.
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    backend, backend_peer = Stream(near, loop), Stream(far, loop)

    async def main() -> None:
        client_peer.send_now(b"body")
        assert await wait([client, backend], [], 5) == ([client], [])
        assert client.recv_now() == b"body"
        assert await wait([client], [backend], 5) == ([], [backend])
        while backend.send_now(b"x" * 65536):
            pass
        waiting = spawn(wait([client], [backend], 5))
        await asyncio.sleep(0.01)
        assert not waiting.done
        client_peer.send_now(b"more")
        assert await waiting.join() == ([client], [])
        backend_peer.send_now(b"early answer")
        readers, _ = await wait([backend], [], 5)
        assert readers == [backend]
        with pytest.raises(TimedOut):
            client.recv_now()
            await wait([client], [], 0.02)
        assert current() is not None
        backend.close()
        backend_peer.close()

    run(main())
