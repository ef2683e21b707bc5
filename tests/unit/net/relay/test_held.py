"""A tunnel whose backend is taken out, looked at meanwhile, and followed by another."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from penstock.net.loop import Loop
from penstock.net.relay.held import put_back, put_backend, put_held
from penstock.net.relay.relay import relay
from penstock.net.relay.side import Side
from penstock.net.relay.tunnel import Send, Tunnel
from penstock.net.relay.twin_side import TwinSide
from penstock.net.stream import Stream

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]


def kept(got: list[bytes]) -> Callable[[Send], Send]:
    def make(send: Send) -> Send:
        def passing(view: Any) -> int:
            got.append(bytes(view))
            return send(view)

        return passing

    return make


def test_another_stream_takes_the_place_of_the_backend(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = connected()
        first, far = connected()
        second, other = connected()
        tunnel: Tunnel = relay(near, far, idle_timeout=60, on_end=lambda *_: None)
        await first.send_all(b"from one")
        assert await client.recv(100, 5) == b"from one"
        held = put_held(tunnel)
        got: list[bytes] = []
        tunnel.tap(tunnel.client, kept(got))
        tunnel.tap(tunnel.backend, kept([]))  # somebody looks on: there is nothing to see
        await client.send_all(b"to nobody")
        await first.send_all(b"last words")
        assert await client.recv(100, 5) == b"last words", "the old one is read as long as it is open"
        mask, came = put_backend(tunnel, held, other, None)
        assert came == b""
        assert await first.recv(100, 5) == b"", "it was closed"
        tunnel.tap(tunnel.client, None)
        tunnel.backend.start(mask)
        tunnel.client.settle()
        await client.send_all(b"to two")
        assert await second.recv(100, 5) == b"to two"
        await second.send_all(b"from two")
        assert await client.recv(100, 5) == b"from two"
        assert got == [b"to nobody"]
        assert tunnel.from_backend == len(b"from one" b"last words" b"from two"), "one tunnel, one count"
        tunnel.close()

    run(main())


def test_it_has_all_that_a_side_has(connected: Connected, loop: Loop, run: Run) -> None:
    """Whoever works on the client's side asks its peer, whatever that is."""

    async def main() -> None:
        (_, near), (_, far) = connected(), connected()
        tunnel = relay(near, far, idle_timeout=60, on_end=lambda *_: None, watch=lambda _: None)
        tunnel.dismiss()
        names = *TwinSide.__slots__, *Side.__slots__
        before = {name for name in names if hasattr(tunnel.backend, name)}
        held = put_held(tunnel)
        assert {name for name in names if hasattr(held, name)} == before
        tunnel.close()

    run(main())


def test_the_old_one_may_come_back(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = connected()
        backend, far = connected()
        tunnel = relay(near, far, idle_timeout=60, on_end=lambda *_: None)
        held = put_held(tunnel)
        held.stop_client()
        await client.send_all(b"waits")
        put_back(tunnel, held)
        tunnel.tap(tunnel.client, None)
        assert await backend.recv(100, 5) == b"waits"
        tunnel.close()

    run(main())
