"""A tunnel whose client speaks TLS, without sides as long as short messages are all that comes."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.fiber import spawn
from penstock.net.loop import Loop
from penstock.net.relay.secure_tunnel import SecureTunnel
from penstock.net.relay.side import Side
from penstock.net.relay.states import FlowState
from penstock.net.relay.tls_side import TlsSide
from penstock.net.relay.tunnel import End
from penstock.net.relay.views import VIEWED, VIEWS
from penstock.net.stream import Stream
from penstock.net.tls import openssl
from penstock.net.tls.tls import accept
from unit.net.tunnels import AGREED, ASKED, NO_GOODBYE, WHO_ENDS, Both, one_after_the_other, read_all, say

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]

@pytest.fixture
def tunnel(secured: Any, connected: Connected, loop: Loop) -> Callable[..., Coroutine[Any, Any, Both]]:
    """Makes a tunnel from a client with TLS to a plain backend."""

    async def made(**options: Any) -> Both:
        pairs = iter((await secured(), connected()))
        both = Both(loop, lambda: next(pairs), **options)
        assert is_folded(both)
        return both

    return made


def is_folded(both: Both) -> bool:
    assert type(both.tunnel) is SecureTunnel
    return isinstance(both.tunnel._client, int)


@WHO_ENDS
@pytest.mark.parametrize("sides", [False, True], ids=["without sides", "with sides"])
def test_one_end_is_both_after_a_close_frame_from_each(
    first: str, reason: End, sides: bool, tunnel: Any, loop: Loop, run: Run
) -> None:
    async def main() -> None:
        both = await tunnel(websocket=True)
        if sides:
            assert both.tunnel.client is not None
        await say(both, ASKED, AGREED)
        getattr(both, first).close()
        assert await both.end() is reason
        if first == "backend":
            assert await both.client.recv(timeout=5) == b"" and not both.client._broken
        else:
            assert await both.backend.recv(timeout=5) == b""
        assert both.ends == [(reason, len(ASKED), len(AGREED))]
        assert loop.tunnels == set() and not any(loop.hot.carried)

    run(main())


@NO_GOODBYE
def test_else_each_side_ends_for_itself(
    websocket: bool, client: bytes, backend: bytes, tunnel: Any, run: Run
) -> None:
    async def main() -> None:
        both = await tunnel(websocket=websocket)
        await one_after_the_other(both, client, backend)

    run(main())


def test_the_last_words_come_before_the_end(tunnel: Any, run: Run) -> None:
    """A close frame and the FIN behind it are one event."""

    async def main() -> None:
        both = await tunnel(websocket=True)
        await both.client.send_all(ASKED)
        assert await both.backend.recv(timeout=5) == ASKED
        await both.backend.send_all(AGREED)
        both.backend.close()
        assert await read_all(both.client) == AGREED
        assert await both.end() is End.BACKEND_CLOSED

    run(main())


def test_sides_are_made_when_somebody_asks_for_them(tunnel: Any, run: Run) -> None:
    async def main() -> None:
        both = await tunnel(websocket=True, send_timeouts=(3.0, 4.0))
        await say(both, b"12345", b"123")
        seen = both.tunnel
        assert (seen.from_client, seen.from_backend) == (5, 3)
        assert seen.flows == (FlowState.FLOWING, FlowState.FLOWING)
        assert seen.transport == "h1-tls" and not (seen.portable or seen.plain or seen.engaged)
        assert is_folded(both)
        assert seen.backend_fd == seen.backend.fd and not is_folded(both)
        assert type(seen.client) is TlsSide and type(seen.backend) is Side
        assert (seen.client.send_timeout, seen.backend.send_timeout) == (3.0, 4.0)
        assert seen.transport == "h1-tls" and not (seen.portable or seen.plain or seen.engaged)
        await say(both, b"678", b"9")
        assert (seen.from_client, seen.from_backend) == (8, 4)
        seen.inject(seen.client, b"from the proxy")
        assert await both.client.recv(timeout=5) == b"from the proxy"
        both.client.close()
        both.backend.close()
        await both.end()
        assert both.ends[0][1:] == (8, 4)

    run(main())


@pytest.mark.skipif(openssl.missing() is not None, reason="OpenSSL is out of reach")
@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO < (3,), reason="the list is the session's")
def test_what_the_client_offered_is_not_kept(tunnel: Any, run: Run) -> None:
    async def main() -> None:
        both = await tunnel(websocket=True)
        assert not both.tunnel._ssl.shared_ciphers()
        await say(both, b"12345", b"123")

    run(main())


def test_messages_of_many_lengths_come_as_they_were_sent(tunnel: Any, run: Run) -> None:
    """Each length twice: of short ones the view that they leave by is kept (`views.py`)."""

    async def main() -> None:
        both = await tunnel(websocket=True)
        for length in (1, 2, 70, 131, 132, VIEWED - 1, VIEWED, VIEWED + 1, 8191):
            for _ in range(2):
                data = os.urandom(length)
                await both.client.send_all(data)
                assert await both.backend.recv(timeout=5) == data
                await both.backend.send_all(data)
                assert await both.client.recv(timeout=5) == data
            view = VIEWS[length] if length < VIEWED else None
            assert view is None if length >= VIEWED else view is not None and len(view) == length
        assert is_folded(both)

    run(main())


@pytest.mark.parametrize("way", ["client", "backend"])
def test_much_that_nobody_takes_at_once(way: str, tunnel: Any, run: Run) -> None:
    data = os.urandom(2 << 20)

    async def main() -> None:
        both = await tunnel()
        await say(both, b"a", b"b")
        sink = both.backend if way == "client" else both.client
        sending = spawn(getattr(both, way).send_all(data, 5))
        await asyncio.sleep(0.05)
        got = bytearray()
        while len(got) < len(data):
            got += await sink.recv(65536, 5)
        await sending.join()
        assert got == data and not is_folded(both)
        await say(both, b"c", b"d")

    run(main())


def test_little_at_a_time_that_nobody_takes(tunnel: Any, run: Run) -> None:
    """It is a short message that meets a full socket."""
    piece = os.urandom(1000)

    async def main() -> None:
        both = await tunnel()
        sent, count = 0, len(piece)
        while count == len(piece):
            count = both.backend.send_now(piece)
            sent += count
            await asyncio.sleep(0)
        got = 0
        while got < sent:
            got += len(await both.client.recv(65536, 5))
        assert got == sent == both.tunnel.from_backend

    run(main())


@pytest.mark.parametrize(("who", "reason"), [("client", End.CLIENT_RESET), ("backend", End.BACKEND_RESET)])
def test_a_reset(who: str, reason: End, tunnel: Any, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = await tunnel(websocket=True)
        await say(both, ASKED, AGREED)
        both.client._broken = True  # no close_notify
        getattr(both, who).abort()
        assert await both.end() is reason
        assert both.tunnel.errno == 104 and not any(loop.hot.carried)

    run(main())


def test_silence_ends_it(tunnel: Any, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = await tunnel(idle_timeout=0.05)
        assert await both.end() is End.IDLE
        assert await both.client.recv(timeout=5) == b""
        assert not any(loop.hot.carried)

    run(main())


def test_a_record_in_pieces(
    connected: Connected,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    loop: Loop,
    run: Run,
) -> None:
    """What is no whole record yet is no reason for anything."""

    async def main() -> None:
        client, near = connected()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        accepting = spawn(accept(near, lambda _: server_context, 5))
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await client.send_all(outgoing.read())
                incoming.write(await client.recv(timeout=5))
        await client.send_all(outgoing.read())
        pairs = iter(((client, await accepting.join()), connected()))
        both = Both(loop, lambda: next(pairs))
        tls.write(b"hello")
        record = outgoing.read()
        for at in range(len(record)):
            await client.send_all(record[at : at + 1])
            await asyncio.sleep(0.001)
        assert await both.backend.recv(timeout=5) == b"hello"
        assert is_folded(both) and both.tunnel.from_client == 5

    run(main())
