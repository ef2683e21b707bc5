"""The selector: hot descriptors, asyncio's own, and neither starving the other."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.fiber import current, pause
from penstock.net.loop import IN, Loop, new_loop, running_loop
from penstock.net.timers import Alarm

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def readable() -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    far.send(b"x")
    return near, far


def test_a_hot_descriptor_is_served_without_asyncio(loop: Loop, run: Run) -> None:
    near, far = readable()

    async def main() -> int:
        me = current()

        def handler(mask: int) -> None:
            near.recv(1)
            loop.hot.forget(near.fileno())
            seen.append(mask)
            me.resume()

        seen: list[int] = []
        loop.hot.watch(near.fileno(), IN, handler)
        await pause()
        return seen[0]

    assert run(main()) == IN
    near.close()
    far.close()


def test_busy_descriptors_starve_nobody(loop: Loop, run: Run) -> None:
    """A descriptor that is always readable, beside asyncio's timers, descriptors, tasks, threads, and
    alarms."""
    near, far = readable()
    served = 0
    rang: list[str] = []
    own_near, own_far = readable()

    def always(_mask: int) -> None:
        nonlocal served
        served += 1

    async def task() -> None:
        for _ in range(5):
            await asyncio.sleep(0.002)
        rang.append("task")

    async def main() -> None:
        loop.hot.watch(near.fileno(), IN, always)
        loop.add_reader(own_near.fileno(), lambda: (own_near.recv(1), rang.append("reader")))
        loop.call_later(0.01, rang.append, "timer")
        alarm = Alarm(loop.timers, lambda: rang.append("alarm"))
        alarm.set(0.01)
        thread = threading.Timer(0.01, loop.call_soon_threadsafe, (rang.append, "thread"))
        thread.start()
        await loop.create_task(task())
        await asyncio.sleep(0.02)
        thread.join()
        await asyncio.sleep(0.01)
        loop.remove_reader(own_near.fileno())
        loop.hot.forget(near.fileno())

    begun = time.monotonic()
    run(main())
    assert time.monotonic() - begun < 8
    assert served > 100
    assert sorted(rang) == ["alarm", "reader", "task", "thread", "timer"]
    for sock in (near, far, own_near, own_far):
        sock.close()


def test_a_hot_handler_may_schedule_asyncio_work(loop: Loop, run: Run) -> None:
    near, far = readable()
    order: list[str] = []

    async def main() -> None:
        me = current()

        def handler(_mask: int) -> None:
            loop.hot.forget(near.fileno())
            loop.call_soon(order.append, "soon")
            loop.call_later(0.01, me.resume)

        loop.hot.watch(near.fileno(), IN, handler)
        await pause()

    run(main())
    assert order == ["soon"]
    near.close()
    far.close()


def test_an_exception_out_of_a_handler_is_reported_and_the_descriptor_forgotten(run: Run, loop: Loop) -> None:
    near, far = readable()
    reported: list[tuple[int, BaseException]] = []
    loop.hot.on_error = lambda fd, exc: reported.append((fd, exc))

    def broken(_mask: int) -> None:
        raise ValueError("broken")

    async def main() -> None:
        loop.hot.watch(near.fileno(), IN, broken)
        await asyncio.sleep(0.01)

    run(main())
    assert [(fd, str(exc)) for fd, exc in reported] == [(near.fileno(), "broken")]
    assert near.fileno() not in loop.hot.handlers
    near.close()
    far.close()


def test_an_alarm_that_fails_is_reported(run: Run, loop: Loop) -> None:
    reported: list[int] = []
    loop.hot.on_error = lambda fd, exc: reported.append(fd)

    async def main() -> None:
        Alarm(loop.timers, lambda: 1 / 0).set(0.001)
        await asyncio.sleep(0.02)

    run(main())
    assert reported == [-1]


def test_a_descriptor_closed_and_reused_within_one_batch(run: Run, loop: Loop) -> None:
    """Both are readable in one poll; the first one's handler closes the second, and its number is taken
    again."""
    first, second = readable(), readable()
    calls: list[str] = []
    taken: list[socket.socket] = []

    async def main() -> None:
        def close_the_other(this: socket.socket, other: socket.socket) -> Callable[[int], None]:
            def handler(_mask: int) -> None:
                this.recv(1)
                fd = other.fileno()
                loop.hot.drop(fd)
                other.close()
                quiet, far = socket.socketpair()
                quiet.setblocking(False)
                taken.extend((quiet, far))
                assert quiet.fileno() == fd

                def spurious(_mask: int) -> None:
                    with pytest.raises(BlockingIOError):
                        quiet.recv(1)
                    calls.append("spurious")

                loop.hot.watch(fd, IN, spurious)
                calls.append("closed")

            return handler

        loop.hot.watch(first[0].fileno(), IN, close_the_other(first[0], second[0]))
        loop.hot.watch(second[0].fileno(), IN, close_the_other(second[0], first[0]))
        await asyncio.sleep(0.02)

    run(main())
    assert calls[0] == "closed"
    assert calls in (["closed"], ["closed", "spurious"])
    for sock in (*first, *second, *taken):
        sock.close()


def test_signals_and_subprocesses_work(loop: Loop, run: Run) -> None:
    got: list[int] = []

    async def main() -> bytes:
        loop.add_signal_handler(signal.SIGUSR1, got.append, 1)
        os.kill(os.getpid(), signal.SIGUSR1)
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        await asyncio.sleep(0.01)
        loop.remove_signal_handler(signal.SIGUSR1)
        return b"done"

    assert run(main()) == b"done"
    assert got == [1]


def test_the_coarse_clock_moves(loop: Loop, run: Run) -> None:
    async def main() -> float:
        begun = loop.hot.now
        await asyncio.sleep(0.02)
        return loop.hot.now - begun

    assert 0.015 < run(main()) < 8


def test_run_raises_what_the_fiber_raised() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    loop = new_loop()
    with pytest.raises(ValueError, match="broken"):
        loop.run(fails())
    loop.close()


def test_forgetting_what_is_not_watched_does_nothing(loop: Loop) -> None:
    loop.hot.forget(12345)


def test_running_loop_is_ours(loop: Loop, run: Run) -> None:
    async def main() -> Loop:
        return running_loop()

    assert run(main()) is loop
    with pytest.raises(RuntimeError):
        asyncio.run(main())


def test_who_has_been_served_is_not_kept_while_it_waits(loop: Loop) -> None:
    """A worker may wait for hours: the last one it had to do with goes at once, and with it what that one holds."""
    near, far = readable()

    class Guest:
        def serve(self, _mask: int) -> None:
            loop.hot.forget(near.fileno())

    guest = Guest()
    gone = weakref.ref(guest)
    loop.hot.watch(near.fileno(), IN, guest.serve)
    del guest
    seen: list[bool] = []
    alarm = Alarm(loop.timers, lambda: seen.append(gone() is None))
    alarm.at(loop.timers.now + 0.05)
    loop.hot.select(0.2)
    assert seen == [True]
    alarm.close()
    near.close()
    far.close()
