"""Fibers: started, resumed, interrupted, joined, and gone without a trace."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from penstock.net import fiber as fibers
from penstock.net.fiber import Cancelled, Fiber, current, pause, spawn
from penstock.net.loop import Loop

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def crashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    seen: list[BaseException] = []
    monkeypatch.setattr(fibers, "on_crash", lambda _, exc: seen.append(exc))
    yield seen


def test_runs_at_once_up_to_its_first_pause() -> None:
    steps: list[str] = []

    async def work() -> str:
        steps.append("begun")
        await pause()
        steps.append("resumed")
        return "result"

    fiber = spawn(work())
    assert steps == ["begun"]
    assert not fiber.done
    fiber.resume()
    assert steps == ["begun", "resumed"]
    assert fiber.done
    assert fiber.outcome() == "result"
    fiber.resume()  # a late wake-up means nothing


def test_current_is_the_fiber_that_runs() -> None:
    with pytest.raises(RuntimeError):
        current()
    seen: list[Fiber[Any]] = []

    async def inner() -> None:
        seen.append(current())
        await pause()
        seen.append(current())

    async def outer() -> None:
        seen.append(current())
        child = spawn(inner())
        seen.append(current())
        child.resume()
        seen.append(current())

    spawn(outer())
    outside, inside = seen[0], seen[1]
    assert seen == [outside, inside, outside, inside, outside]
    with pytest.raises(RuntimeError):
        current()


def test_waits_for_asyncio(loop: Loop, run: Run) -> None:
    async def main() -> int:
        future = loop.create_future()
        loop.call_later(0.01, future.set_result, 7)
        await asyncio.sleep(0.001)
        task = loop.create_task(asyncio.sleep(0.001, 5))
        return int(await future) + await task

    assert run(main()) == 12


def test_an_exception_of_a_future_arrives(loop: Loop, run: Run) -> None:
    async def main() -> None:
        future = loop.create_future()
        loop.call_soon(future.set_exception, ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await future

    run(main())


def test_interrupt_where_it_waits_for_a_pause() -> None:
    caught: list[str] = []

    async def work() -> None:
        try:
            await pause()
        except KeyError:
            caught.append("pause")

    fiber = spawn(work())
    fiber.interrupt(KeyError())
    assert caught == ["pause"]
    assert fiber.done
    fiber.interrupt(KeyError())  # done: dropped


def test_interrupt_where_it_waits_for_a_future(loop: Loop, run: Run) -> None:
    async def waits(future: asyncio.Future[None]) -> str:
        try:
            await future
        except KeyError:
            await pause()
            return "interrupted"
        return "not"

    async def main() -> str:
        future: asyncio.Future[None] = loop.create_future()
        fiber = spawn(waits(future))
        fiber.interrupt(KeyError())
        future.set_result(None)
        await asyncio.sleep(0.01)
        assert not fiber.done  # the future it no longer waits for does not wake it
        fiber.resume()
        return await fiber.join()

    assert run(main()) == "interrupted"


def test_interrupt_of_the_running_fiber_comes_at_its_next_pause() -> None:
    steps: list[str] = []

    async def work() -> None:
        current().interrupt(KeyError())
        steps.append("still running")
        try:
            await pause()
        except KeyError:
            steps.append("interrupted")

    fiber = spawn(work())
    assert steps == ["still running", "interrupted"]
    assert fiber.done


def test_interrupt_before_the_start() -> None:
    steps: list[str] = []

    async def work() -> None:
        steps.append("begun")
        try:
            await pause()
        except KeyError:
            steps.append("interrupted")

    fiber = Fiber(work())
    fiber.interrupt(KeyError())
    assert steps == []
    fiber.resume()
    assert steps == ["begun", "interrupted"]


def test_interrupt_of_itself_before_awaiting_a_future(loop: Loop, run: Run) -> None:
    async def work() -> str:
        current().interrupt(KeyError())
        try:
            await asyncio.sleep(5)
        except KeyError:
            return "interrupted"
        return "not"

    async def main() -> str:
        return await spawn(work()).join()

    assert run(main()) == "interrupted"


def test_a_crash_is_reported_and_a_cancellation_is_none(crashes: list[BaseException]) -> None:
    async def fails() -> None:
        raise ValueError("broken")

    async def waits() -> None:
        await pause()

    spawn(fails())
    assert [str(exc) for exc in crashes] == ["broken"]
    fiber = spawn(waits())
    fiber.cancel()
    assert fiber.done
    assert len(crashes) == 1


def test_join_gives_the_result_or_raises(run: Run, crashes: list[BaseException]) -> None:
    async def gives() -> int:
        await asyncio.sleep(0.001)
        return 3

    async def fails() -> int:
        await asyncio.sleep(0.001)
        raise ValueError("broken")

    async def main() -> int:
        with pytest.raises(ValueError, match="broken"):
            await spawn(fails()).join()
        fiber = spawn(gives())
        return await fiber.join() + await fiber.join()

    assert run(main()) == 6
    assert crashes == []


def test_join_given_up_leaves_nothing_behind(run: Run) -> None:
    async def waits() -> None:
        await pause()

    async def joins(fiber: Fiber[None]) -> None:
        await fiber.join()

    async def main() -> None:
        fiber = spawn(waits())
        joiner = spawn(joins(fiber))
        joiner.cancel()
        assert joiner.done
        fiber.resume()
        assert fiber.done

    run(main())


def test_resuming_a_fiber_further_up_the_stack_is_put_off(loop: Loop, run: Run) -> None:
    steps: list[str] = []

    async def child(parent: Fiber[None]) -> None:
        parent.resume()
        steps.append("child")

    async def parent() -> None:
        spawn(child(current()))
        steps.append("parent")
        await pause()
        steps.append("resumed")

    async def main() -> None:
        await spawn(parent()).join()

    run(main())
    assert steps == ["child", "parent", "resumed"]


def test_what_is_no_future_cannot_be_awaited(run: Run) -> None:
    class Odd:
        def __await__(self) -> Iterator[Any]:
            yield "odd"

    async def main() -> None:
        with pytest.raises(RuntimeError, match="odd"):
            await Odd()

    run(main())


def test_nothing_is_left_of_a_fiber_without_the_collector(run: Run) -> None:
    class Mark:
        pass

    async def work(mark: Mark) -> None:
        await asyncio.sleep(0)
        current()
        await pause()

    async def main() -> None:
        gc.collect()
        gc.disable()
        try:
            mark = Mark()
            gone = weakref.ref(mark)
            fiber = spawn(work(mark))
            fiber_gone = weakref.ref(fiber)
            del mark
            await asyncio.sleep(0.01)
            fiber.resume()
            assert fiber.done
            del fiber
            await asyncio.sleep(0)
            assert gone() is None
            assert fiber_gone() is None
        finally:
            gc.enable()

    run(main())


def test_cancelled_is_not_caught_by_accident() -> None:
    assert not issubclass(Cancelled, Exception)
