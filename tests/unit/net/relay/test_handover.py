"""A tunnel that somebody else goes on with: bytes, ends and deadlines go with it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from penstock.net.loop import Loop
from penstock.net.relay.handover import adopt, portable, state_of
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream
from unit.net.tunnels import Both, read_all

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]


def carry(both: Both, loop: Loop, **changes: Any) -> Tunnel:
    """What two processes do, in one: copies of the descriptors, the state, and then the old ones are closed."""
    tunnel = both.tunnel
    assert portable(tunnel)
    tunnel.pause()
    state = replace(state_of(tunnel), **changes)
    copies = [socket.socket(fileno=socket.dup(side.sock.fileno())) for side in (tunnel.client, tunnel.backend)]
    for sock in tunnel.release()[:2]:
        sock.close()
    both.tunnel = adopt(loop, copies[0], copies[1], state, both.ended)
    assert loop.tunnels == {both.tunnel}
    both.tunnel.resume()
    return both.tunnel


def test_bytes_flow_on_and_are_counted_on(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        opened = both.tunnel.opened
        await both.client.send_all(b"before")
        assert await both.backend.recv(timeout=5) == b"before"
        tunnel = carry(both, loop)
        assert tunnel.opened == opened
        await both.client.send_all(b"after")
        assert await both.backend.recv(timeout=5) == b"after"
        await both.backend.send_all(b"back")
        assert await both.client.recv(timeout=5) == b"back"
        both.client.close()
        assert await both.backend.recv(timeout=5) == b""
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED
        assert both.ends == [(End.CLIENT_CLOSED, 11, 4)]

    run(main())


def test_what_was_read_and_not_sent_goes_with_it(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=None)
        sent = bytes(range(256)) * 8192
        count = 0
        while both.tunnel.backend.unsent is None:
            count += both.client.send_now(sent[count:])
            await _a_moment(loop)
        carry(both, loop)
        both.client.send_now(b"")
        await both.client.send_all(b"the end")
        both.client.shutdown_write()
        assert await read_all(both.backend) == sent[:count] + b"the end"

    run(main())


def test_an_end_that_is_still_to_be_passed_on(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=None)
        sent = b"x" * 2_000_000
        count = 0
        while both.tunnel.backend.unsent is None:
            count += both.client.send_now(sent[count:])
            await _a_moment(loop)
        both.client.shutdown_write()
        carry(both, loop)
        await both.backend.send_all(b"late answer")
        assert await read_all(both.backend) == sent[:count]
        assert await both.client.recv(timeout=5) == b"late answer"
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED

    run(main())


def test_half_closed_stays_half_closed(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        both.client.shutdown_write()
        assert await both.backend.recv(timeout=5) == b""
        carry(both, loop)
        await both.backend.send_all(b"still talking")
        assert await both.client.recv(timeout=5) == b"still talking"
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED

    run(main())


def test_the_deadline_goes_on_from_where_it_was(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=0.3)
        began = loop.time()
        await _a_moment(loop, 0.2)
        carry(both, loop)
        assert await both.end() is End.IDLE
        assert 0.25 < loop.time() - began < 8

    run(main())


def test_paused_and_resumed_here(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=0.3)
        both.tunnel.pause()
        await both.client.send_all(b"waits")
        await _a_moment(loop, 0.5)
        assert both.tunnel.from_client == 0 and not both.ends
        both.tunnel.client.last = both.tunnel.loop.hot.now
        both.tunnel.resume()
        assert await both.backend.recv(timeout=5) == b"waits"
        both.tunnel.pause()
        both.tunnel.close()
        assert both.ends == [(End.SHUTDOWN, 5, 0)]
        assert await both.client.recv(timeout=5) == b""

    run(main())


async def _a_moment(loop: Loop, seconds: float = 0.01) -> None:
    future = loop.create_future()
    loop.call_later(seconds, future.set_result, None)
    await future
