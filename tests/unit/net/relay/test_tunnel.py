"""A tunnel as a whole: its two flows, its guard, its deadlines, and that it ends once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from harness.fibers import until
from penstock.net.loop import Loop
from penstock.net.relay.side import Side
from penstock.net.relay.states import FlowState
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream
from unit.net.tunnels import Both

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]
FLOWING, ENDED, CLOSED = FlowState.FLOWING, FlowState.ENDED, FlowState.CLOSED


class Guard:
    """Lets the tunnel end once it has been asked so often."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.asked: list[tuple[End, Side | None]] = []
        self.refusals: list[Side] = []

    def ends(self, reason: End, side: Side | None) -> bool:
        self.asked.append((reason, side))
        self.left -= 1
        return self.left >= 0

    def refused(self, side: Side, untaken: int) -> None:
        self.refusals.append(side)

    def drained(self, side: Side) -> None:
        pass


def guarded(loop: Loop, connected: Connected, times: int, **options: Any) -> tuple[Both, Guard]:
    guard = Guard(times)

    def watch(tunnel: Tunnel) -> None:
        tunnel.guard = guard

    return Both(loop, connected, watch=watch, **options), guard


def test_it_ends_once_and_its_figures_stay(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        await both.client.send_all(b"to the backend")
        assert await both.backend.recv(timeout=5) == b"to the backend"
        assert both.tunnel in loop.tunnels
        both.tunnel.close(End.CLOSED)
        both.tunnel.close(End.IDLE)
        assert both.ends == [(End.CLOSED, 14, 0)]
        assert both.tunnel.reason is End.CLOSED
        assert both.tunnel not in loop.tunnels
        assert both.tunnel.flows == (CLOSED, CLOSED)
        assert await both.client.recv(timeout=5) == b""

    run(main())


@pytest.mark.parametrize(("who", "flows"), [("client", (ENDED, FLOWING)), ("backend", (FLOWING, ENDED))])
def test_half_closed_it_says_which_half(
    connected: Connected, loop: Loop, run: Run, who: str, flows: tuple[FlowState, FlowState]
) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        assert both.tunnel.flows == (FLOWING, FLOWING)
        getattr(both, who).shutdown_write()
        await until(lambda: both.tunnel.flows == flows)
        other = both.backend if who == "client" else both.client
        await other.send_all(b"still said")
        assert await getattr(both, who).recv(timeout=5) == b"still said"
        other.shutdown_write()
        assert await both.end() is (End.CLIENT_CLOSED if who == "client" else End.BACKEND_CLOSED)

    run(main())


def test_a_guard_is_asked_before_any_end_and_may_keep_it(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both, guard = guarded(loop, connected, times=2)
        client = both.tunnel.client
        both.client.shutdown_write()
        await until(lambda: bool(guard.asked))
        assert guard.asked == [(End.CLIENT_CLOSED, client)]
        assert both.tunnel.reason is None
        assert not both.tunnel.backend.finished, "who keeps the end keeps FIN, too"
        both.backend.shutdown_write()
        await until(lambda: len(guard.asked) > 1)
        assert guard.asked[1][0] is End.BACKEND_CLOSED
        both.tunnel.close()

    run(main())


def test_a_guard_that_keeps_a_reset_side_goes_on_with_the_other(
    connected: Connected, loop: Loop, run: Run
) -> None:
    async def main() -> None:
        both, guard = guarded(loop, connected, times=1)
        both.client.abort()
        await until(lambda: bool(guard.asked))
        assert guard.asked[0][0] is End.CLIENT_RESET
        assert both.tunnel.reason is None
        assert both.tunnel.flows[0] is ENDED
        both.tunnel.inject(both.tunnel.backend, b"a last word")
        assert await both.backend.recv(timeout=5) == b"a last word"
        both.tunnel.close()

    run(main())


def test_a_guard_may_keep_an_idle_tunnel(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both, guard = guarded(loop, connected, times=1, idle_timeout=0.05)
        assert await both.end() is End.IDLE
        assert guard.asked == [(End.IDLE, None)] * 2

    run(main())


def test_paused_no_byte_moves_and_no_deadline_comes(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=0.1)
        both.tunnel.pause()
        await both.client.send_all(b"waits")
        both.tunnel.inject(both.tunnel.backend, b"not now")
        await asyncio.sleep(0.2)
        assert both.tunnel.reason is None
        assert both.tunnel.from_client == 0
        both.tunnel.resume()
        assert await both.backend.recv(timeout=5) == b"waits"
        assert await both.end() is End.IDLE

    run(main())


def test_a_tap_can_be_set_and_taken_away(connected: Connected, loop: Loop, run: Run) -> None:
    seen: list[bytes] = []

    async def main() -> None:
        both = Both(loop, connected)

        def make(send: Callable[[Any], int]) -> Callable[[Any], int]:
            def passing(view: Any) -> int:
                seen.append(bytes(view))
                return send(view)

            return passing

        both.tunnel.tap(both.tunnel.client, make)
        assert not both.tunnel.engaged
        await both.client.send_all(b"seen")
        assert await both.backend.recv(timeout=5) == b"seen"
        both.tunnel.tap(both.tunnel.client, None)
        assert both.tunnel.engaged == both.tunnel.plain
        await both.client.send_all(b"not seen")
        assert await both.backend.recv(timeout=5) == b"not seen"
        assert seen == [b"seen"]
        assert both.tunnel.from_client == 12
        both.tunnel.close()

    run(main())


def test_what_has_been_seen_of_its_end_can_be_told_and_set(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        assert both.tunnel.ending == (None, None, 0)
        both.client.shutdown_write()
        await until(lambda: both.tunnel.ending[0] is not None)
        assert both.tunnel.ending == (End.CLIENT_CLOSED, None, 0)
        both.tunnel.ending = (End.BACKEND_CLOSED, None, 0)
        both.backend.shutdown_write()
        assert await both.end() is End.BACKEND_CLOSED

    run(main())
