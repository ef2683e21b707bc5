"""A tunnel comes back from the compiled twin with what it needs, and goes to it again: without sides, as it began."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from penstock.net.loop import Loop
from penstock.net.relay.tunnel import End
from penstock.net.stream import Stream
from unit.net.tunnels import Both

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]


def test_once_a_slow_reader_has_taken_all_there_are_no_sides_again(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, send_timeouts=(7.0, 8.0))
        total, sent, got = bytes(range(256)) * 20_000, 0, bytearray()
        while sent < 3_000_000:
            sent += (count := both.client.send_now(total[sent:]))
            if not count:
                got += await both.backend.recv(65536, 5)
        while len(got) < sent:
            got += await both.backend.recv(65536, 5)
        assert got == total[:sent]
        tunnel = both.tunnel
        if loop.hot.twin is not None:
            assert tunnel.engaged and isinstance(tunnel._client, int) and isinstance(tunnel._backend, int)
            assert not {tunnel.client_fd, tunnel.backend_fd} & loop.hot.handlers.keys()
        assert (tunnel.from_client, tunnel.from_backend) == (sent, 0)
        assert (tunnel.client.send_timeout, tunnel.backend.send_timeout) == (7.0, 8.0)
        both.client.close()
        both.backend.close()
        await both.end()
        assert both.ends[0][1:] == (sent, 0)

    run(main())


def test_it_goes_to_the_twin_again_behind_a_tap(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        tunnel = both.tunnel
        seen: list[bytes] = []

        def make(send: Callable[[Any], int]) -> Callable[[Any], int]:
            def looked_at(view: memoryview) -> int:
                seen.append(bytes(view))
                return send(view)

            return looked_at

        tunnel.tap(tunnel.client, make)
        assert not tunnel.engaged
        await both.client.send_all(b"seen")
        assert await both.backend.recv(100, 5) == b"seen"
        tunnel.tap(tunnel.client, None)
        assert tunnel.engaged == (loop.hot.twin is not None)
        await both.client.send_all(b"not seen")
        assert await both.backend.recv(100, 5) == b"not seen"
        assert seen == [b"seen"]
        both.client.shutdown_write()
        assert await both.backend.recv(100, 5) == b""
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED
        assert both.ends == [(End.CLIENT_CLOSED, 12, 0)]

    run(main())
