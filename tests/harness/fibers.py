"""Fibers of the product in a test that has no loop."""

import asyncio
import time
from collections.abc import Callable, Coroutine

from harness.waiting import PATIENCE
from penstock.net.fiber import Fiber
from penstock.net.loop import Loop, new_loop


async def until(found: Callable[[], object]) -> None:
    """Let the loop have its turns until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline, "it does not come to that"
        await asyncio.sleep(0.002)


def run(work: Callable[[Loop], Coroutine[object, None, None]]) -> None:
    """Run a fiber to its end on a loop of its own, and raise what it raised; a minute at the most."""
    loop = new_loop()
    failed: list[BaseException | None] = []

    def ended(fiber: Fiber[None]) -> None:
        failed.append(fiber.take_error())
        loop.call_soon(loop.stop)

    def begin() -> None:
        fiber = Fiber(work(loop))
        fiber.keep_error = True
        fiber.resume()
        fiber.on_done(ended)

    try:
        loop.call_soon(begin)
        loop.call_later(60.0, loop.stop)
        loop.run_forever()
    finally:
        loop.close()
    assert failed, "it has not ended"
    if failed[0] is not None:
        raise failed[0]
