"""A tunnel without sides, and the end of a WebSocket that both sides have said goodbye to. Holds for either relay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.net.loop import Loop
from penstock.net.relay.states import FlowState
from penstock.net.relay.tunnel import End
from penstock.net.stream import Stream
from unit.net.tunnels import AGREED, ASKED, NO_GOODBYE, WHO_ENDS, Both, one_after_the_other, say

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]

@WHO_ENDS
def test_one_end_is_both_after_a_close_frame_from_each(
    first: str, reason: End, connected: Connected, loop: Loop, run: Run
) -> None:
    async def main() -> None:
        both = Both(loop, connected, websocket=True)
        await say(both, ASKED, AGREED)
        getattr(both, first).close()
        assert await both.end() is reason
        other = both.backend if first == "client" else both.client
        assert await other.recv(timeout=5) == b""
        assert both.ends == [(reason, len(ASKED), len(AGREED))]
        assert loop.tunnels == set() and not any(loop.hot.carried)

    run(main())


@NO_GOODBYE
def test_else_each_side_ends_for_itself(
    websocket: bool, client: bytes, backend: bytes, connected: Connected, loop: Loop, run: Run
) -> None:
    async def main() -> None:
        both = Both(loop, connected, websocket=websocket)
        await one_after_the_other(both, client, backend)

    run(main())


def test_what_followed_a_close_frame_counts(connected: Connected, loop: Loop, run: Run) -> None:
    """What came last is what is remembered."""

    async def main() -> None:
        both = Both(loop, connected, websocket=True)
        await say(both, ASKED, AGREED)
        await say(both, ASKED, b"\x81\x01a")
        both.client.shutdown_write()
        assert await both.backend.recv(timeout=5) == b""
        await both.backend.send_all(b"more")
        assert await both.client.recv(timeout=5) == b"more"
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED

    run(main())


def test_sides_are_made_when_somebody_asks_for_them(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, websocket=True, send_timeouts=(3.0, 4.0))
        await say(both, b"12345", b"123")
        tunnel = both.tunnel
        assert (tunnel.from_client, tunnel.from_backend) == (5, 3)
        assert tunnel.flows == (FlowState.FLOWING, FlowState.FLOWING)
        assert tunnel.transport == "h1" and tunnel.portable
        assert tunnel.plain == tunnel.engaged == (loop.hot.twin is not None)
        assert tunnel.backend_fd == tunnel.backend.fd
        assert (tunnel.client.send_timeout, tunnel.backend.send_timeout) == (3.0, 4.0)
        assert tunnel.client.peer is tunnel.backend and tunnel.client.tunnel is tunnel
        await say(both, b"678", b"9")
        assert (tunnel.from_client, tunnel.from_backend) == (8, 4)
        tunnel.inject(tunnel.client, b"from the proxy")
        assert await both.client.recv(timeout=5) == b"from the proxy"
        await say(both, b"a", b"b")
        both.client.close()
        both.backend.close()
        await both.end()
        assert both.ends[0][1:] == (9, 5)

    run(main())


def test_silence_ends_it(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=0.05)
        assert await both.end() is End.IDLE
        assert await both.client.recv(timeout=5) == b""
        await asyncio.sleep(0)
        assert not any(loop.hot.carried)

    run(main())
