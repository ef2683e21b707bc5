"""Tunnels: everything that may happen between two sockets, over TCP, unix sockets, and TLS."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from penstock.net import tls
from penstock.net.errors import NetError
from penstock.net.fiber import spawn
from penstock.net.loop import Loop
from penstock.net.relay import End, Tunnel, relay
from penstock.net.side import SIZE
from penstock.net.stream import Stream

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]
Ends = list[tuple[End, int, int]]


class Both:
    """A tunnel and the two who talk through it: `client` and `backend` are the far ends."""

    def __init__(self, loop: Loop, make: Callable[[], tuple[Stream, Stream]], **options: Any) -> None:
        self.client, near = make()
        self.backend, far = make()
        self.ends: Ends = []
        options.setdefault("idle_timeout", 5)
        self.tunnel = relay(near, far, on_end=self.ended, **options)

    def ended(self, tunnel: Tunnel, reason: End) -> None:
        self.ends.append((reason, tunnel.from_client, tunnel.from_backend))

    async def end(self) -> End:
        for _ in range(200):
            if self.ends:
                return self.ends[0][0]
            await asyncio.sleep(0.005)
        raise AssertionError("the tunnel does not end")


@pytest.fixture(params=["tcp", "unix"])
def make(request: pytest.FixtureRequest, loop: Loop, connected: Connected) -> Iterator[Connected]:
    if request.param == "tcp":
        yield connected
        return
    made: list[Stream] = []

    def unix() -> tuple[Stream, Stream]:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        made.extend((Stream(near, loop), Stream(far, loop)))
        return made[-2], made[-1]

    yield unix
    for stream in made:
        stream.close()


async def read_all(stream: Stream) -> bytes:
    got = bytearray()
    while piece := await stream.recv(65536, 5):
        got += piece
    return bytes(got)


def test_both_ways_and_counted(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, make)
        assert both.tunnel in loop.tunnels
        await both.client.send_all(b"question")
        assert await both.backend.recv(timeout=1) == b"question"
        await both.backend.send_all(b"answer!")
        assert await both.client.recv(timeout=1) == b"answer!"
        assert (both.tunnel.from_client, both.tunnel.from_backend) == (8, 7)
        both.client.close()
        assert await both.backend.recv(timeout=1) == b""
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED
        assert both.ends == [(End.CLIENT_CLOSED, 8, 7)]
        assert loop.tunnels == set()

    run(main())


def test_first_bytes_come_before_what_is_read(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = make()
        backend, far = make()
        near.unread(b"put back, ")
        far.unread(b"also put back, ")
        await client.send_all(b"sent")
        await backend.send_all(b"answered")
        tunnel = relay(near, far, to_client=b"head, ", to_backend=b"early, ", on_end=lambda *_: None)
        client.shutdown_write()
        backend.shutdown_write()
        assert await read_all(backend) == b"early, put back, sent"
        assert await read_all(client) == b"head, also put back, answered"
        assert tunnel.from_client == len(b"put back, sent")
        assert tunnel.from_backend == len(b"also put back, answered")

    run(main())


def test_half_close_of_the_client(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, make)
        await both.client.send_all(b"all I have to say")
        both.client.shutdown_write()
        assert await read_all(both.backend) == b"all I have to say"
        await both.backend.send_all(b"thank you")
        assert await both.client.recv(timeout=1) == b"thank you"
        assert both.ends == []
        both.backend.shutdown_write()
        assert await both.client.recv(timeout=1) == b""
        assert await both.end() is End.CLIENT_CLOSED

    run(main())


def test_half_close_of_the_backend(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, make)
        both.backend.shutdown_write()
        assert await both.client.recv(timeout=1) == b""
        await both.client.send_all(b"still here")
        assert await both.backend.recv(timeout=1) == b"still here"
        both.client.close()
        assert await both.end() is End.BACKEND_CLOSED

    run(main())


def test_a_half_closed_tunnel_idles_out(make: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, make, idle_timeout=0.05)
        both.backend.shutdown_write()
        assert await both.client.recv(timeout=1) == b""
        assert await both.end() is End.IDLE

    run(main())


def test_a_slow_reader_holds_the_sender_back(make: Connected, loop: Loop, run: Run) -> None:
    """Nothing is read while nothing can be sent; what is kept is at most a buffer; no byte is lost."""
    data = os.urandom(8 << 20)

    async def main() -> None:
        both = Both(loop, make)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        writing = spawn(both.backend.send_all(data, 5))
        await asyncio.sleep(0.1)
        assert not writing.done
        unsent = both.tunnel.client.unsent
        assert unsent is not None
        assert len(unsent) <= SIZE
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
        await both.client.send_all(b"the other direction is free")
        assert await both.backend.recv(timeout=1) == b"the other direction is free"
        reading = spawn(read_all(both.client))
        await writing.join()
        both.backend.shutdown_write()
        assert await reading.join() == data
        assert both.tunnel.client.unsent is None
        assert both.tunnel.from_backend == len(data)

    run(main())


def test_fin_comes_after_what_was_unsent(make: Connected, loop: Loop, run: Run) -> None:
    data = os.urandom(1 << 20)

    async def main() -> None:
        both = Both(loop, make)
        writing = spawn(both.client.send_all(data * 4, 5))
        await asyncio.sleep(0.05)
        reading = spawn(read_all(both.backend))
        await writing.join()
        both.client.close()
        assert await reading.join() == data * 4
        both.backend.close()
        assert await both.end() is End.CLIENT_CLOSED

    run(main())


def test_both_blocked_at_once(make: Connected, loop: Loop, run: Run) -> None:
    data = os.urandom(4 << 20)

    async def main() -> None:
        both = Both(loop, make)
        up, down = spawn(both.client.send_all(data, 5)), spawn(both.backend.send_all(data, 5))
        await asyncio.sleep(0.05)
        assert both.tunnel.client.unsent
        assert both.tunnel.backend.unsent
        first, second = spawn(read_all(both.backend)), spawn(read_all(both.client))
        await up.join()
        await down.join()
        both.client.shutdown_write()
        both.backend.shutdown_write()
        assert await first.join() == data
        assert await second.join() == data
        await both.end()

    run(main())


@pytest.mark.parametrize(("who", "reason"), [("client", End.CLIENT_RESET), ("backend", End.BACKEND_RESET)])
def test_reset(who: str, reason: End, connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        getattr(both, who).abort()
        assert await both.end() is reason
        assert both.tunnel.errno == 104
        other = both.backend if who == "client" else both.client
        assert await other.recv(timeout=1) == b""

    run(main())


def test_a_reset_while_the_other_is_slow_does_not_spin(connected: Connected, loop: Loop, run: Run) -> None:
    """The backend is reset with bytes held for a client that does not read: they still reach it."""

    async def main() -> None:
        both = Both(loop, connected)
        writing = spawn(both.backend.send_all(os.urandom(8 << 20), 5))
        await asyncio.sleep(0.05)
        writing.cancel()
        both.backend.abort()
        polls = 0
        real = loop.hot._epoll

        class Counting:
            def poll(self, *args: Any) -> Any:
                nonlocal polls
                polls += 1
                return real.poll(*args)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        loop.hot._epoll = Counting()  # type: ignore[assignment]
        await asyncio.sleep(0.05)
        loop.hot._epoll = real
        assert polls < 20
        while await both.client.recv(65536, 1):
            pass
        assert await both.end() is End.BACKEND_RESET

    run(main())


def test_the_last_words_of_a_backend_that_closed_wholly(make: Connected, loop: Loop, run: Run) -> None:
    """It answers, closes, and what the client sends meanwhile provokes a reset: the answer arrives all the
    same."""

    async def main() -> None:
        both = Both(loop, make)
        await both.client.send_all(b"x")
        await both.backend.recv(timeout=1)
        both.backend.send_now(b"last words")
        both.client.send_now(b"y")
        both.backend.close()
        both.client.send_now(b"z")
        assert await both.client.recv(timeout=1) == b"last words"
        with pytest.raises(NetError):
            while await both.client.recv(timeout=1):
                pass
            await both.end()
            raise NetError
        assert both.ends[0][0] in (End.BACKEND_CLOSED, End.BACKEND_RESET)

    run(main())


def test_idle(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=0.08)
        for _ in range(6):
            await asyncio.sleep(0.04)
            await both.client.send_all(b"x")
            assert await both.backend.recv(timeout=1) == b"x"
        assert both.ends == []
        assert len(loop.timers.heap) < 20
        assert await both.end() is End.IDLE
        assert await both.client.recv(timeout=1) == b""

    run(main())


@pytest.mark.parametrize(
    ("who", "other", "reason"),
    [("client", "backend", End.CLIENT_SEND_TIMEOUT), ("backend", "client", End.BACKEND_SEND_TIMEOUT)],
)
def test_send_timeout(who: str, other: str, reason: End, connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected, idle_timeout=5, send_timeouts=(0.05, 0.05))
        writing = spawn(getattr(both, other).send_all(os.urandom(16 << 20), 5))
        assert await both.end() is reason
        with pytest.raises(NetError):
            await writing.join()

    run(main())


def test_a_reader_that_is_slow_but_reads_has_its_time(connected: Connected, loop: Loop, run: Run) -> None:
    """The send timeout is between two writes, and idleness does not count while something is due."""

    async def main() -> None:
        both = Both(loop, connected, idle_timeout=0.06, send_timeouts=(0.3, 0.3))
        writing = spawn(both.backend.send_all(os.urandom(8 << 20), 5))
        for _ in range(10):
            await asyncio.sleep(0.03)
            await both.client.recv(1 << 20, 1)
        assert both.ends == []
        writing.cancel()
        both.tunnel.close()

    run(main())


def test_closed_at_will(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        both.tunnel.inject(both.tunnel.client, b"\x88\x02\x03\xf4")
        both.tunnel.close(End.SHUTDOWN)
        both.tunnel.close(End.SHUTDOWN)
        assert await both.client.recv(timeout=1) == b"\x88\x02\x03\xf4"
        assert await both.client.recv(timeout=1) == b""
        assert both.ends == [(End.SHUTDOWN, 0, 0)]

    run(main())


def test_injected_bytes_follow_what_is_unsent(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        data = os.urandom(8 << 20)
        writing = spawn(both.backend.send_all(data, 5))
        await asyncio.sleep(0.05)
        both.tunnel.inject(both.tunnel.client, b"injected")
        reading = spawn(read_all(both.client))
        await writing.join()
        both.backend.close()
        got = await reading.join()
        assert len(got) == len(data) + 8
        assert got.replace(b"injected", b"") == data

    run(main())


def test_a_tap_sees_everything_once(connected: Connected, loop: Loop, run: Run) -> None:
    data = os.urandom(4 << 20)

    async def main() -> None:
        both = Both(loop, connected)
        seen = bytearray()
        both.tunnel.tap(both.tunnel.backend, lambda view: seen.extend(view))
        writing = spawn(both.backend.send_all(data, 5))
        await asyncio.sleep(0.05)
        got = bytearray()
        while len(got) < len(data):
            got += await both.client.recv(65536, 5)
        assert writing.done
        assert got == data
        await both.client.send_all(b"not tapped")
        await both.backend.recv(timeout=1)
        both.tunnel.tap(both.tunnel.backend, None)
        await both.backend.send_all(b"no more")
        assert await both.client.recv(timeout=1) == b"no more"
        assert seen == data

    run(main())


def test_released_sockets_live_on(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        both = Both(loop, connected)
        client, backend, to_client, to_backend = both.tunnel.release()
        assert loop.tunnels == set()
        assert (to_client, to_backend) == (b"", b"")
        again = relay(Stream(client, loop), Stream(backend, loop), on_end=both.ended)
        await both.client.send_all(b"handed over")
        assert await both.backend.recv(timeout=1) == b"handed over"
        again.close()
        assert both.ends == [(End.SHUTDOWN, 11, 0)]

    run(main())


def test_nothing_is_left_of_a_tunnel_without_the_collector(connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        gc.collect()
        gc.disable()
        try:
            client, near = connected()
            backend, far = connected()
            tunnel = relay(near, far, idle_timeout=60, on_end=lambda *_: None)
            left, right = tunnel.client, tunnel.backend
            del near, far
            await client.send_all(b"x")
            await backend.recv(timeout=1)
            client.close()
            assert await backend.recv(timeout=1) == b""
            backend.close()
            await asyncio.sleep(0.02)
            assert tunnel.reason is End.CLIENT_CLOSED
            assert sys.getrefcount(left) == 2  # `left`, and the argument
            assert sys.getrefcount(right) == 2
            assert sys.getrefcount(tunnel) == 2
        finally:
            gc.enable()

    run(main())


# TLS


@pytest.fixture
def secure(connected: Connected, server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> Any:
    async def secure() -> tuple[Stream, Stream]:
        near, far = connected()
        server = spawn(tls.accept(far, lambda _: server_context, 5))
        client = await tls.connect(near, client_context, "localhost", timeout=5)
        return client, await server.join()

    return secure


@pytest.mark.parametrize("sides", [("tls", "plain"), ("plain", "tls"), ("tls", "tls")])
def test_tls(sides: tuple[str, str], secure: Any, connected: Connected, loop: Loop, run: Run) -> None:
    """Short messages, then much with both sides slow, then both half-closes."""
    data = os.urandom(3 << 20)

    async def made(kind: str) -> tuple[Stream, Stream]:
        pair: tuple[Stream, Stream] = await secure() if kind == "tls" else connected()
        return pair

    async def main() -> None:
        client, near = await made(sides[0])
        backend, far = await made(sides[1])
        ends: list[End] = []
        relay(near, far, to_client=b"first", idle_timeout=5, on_end=lambda _, reason: ends.append(reason))
        assert await client.recv(timeout=1) == b"first"
        for size in (1, 100, 8191, 16384):
            await client.send_all(data[:size])
            got = b""
            while len(got) < size:
                got += await backend.recv(timeout=1)
            assert got == data[:size]
            await backend.send_all(got)
            got = b""
            while len(got) < size:
                got += await client.recv(timeout=1)
            assert got == data[:size]
        up, down = spawn(client.send_all(data, 5)), spawn(backend.send_all(data[::-1], 5))
        await asyncio.sleep(0.05)

        async def read_exactly(stream: Stream) -> bytes:
            got = bytearray()
            while len(got) < len(data):
                got += await stream.recv(65536, 5)
            return bytes(got)

        at_backend, at_client = spawn(read_exactly(backend)), spawn(read_exactly(client))
        await up.join()
        await down.join()
        assert await at_backend.join() == data
        assert await at_client.join() == data[::-1]
        backend.close()
        assert await client.recv(timeout=1) == b""
        client.close()
        await asyncio.sleep(0.03)
        assert ends == [End.BACKEND_CLOSED]

    run(main())


def test_tls_bytes_openssl_holds_are_not_forgotten(secure: Any, connected: Connected, loop: Loop, run: Run) -> None:
    """The rest of a record was read into OpenSSL before the tunnel began: epoll does not tell of it."""

    async def main() -> None:
        client, near = await secure()
        backend, far = connected()
        await client.send_all(b"GET / HTTP/1.1\r\n\r\nand more")
        assert await near.recv(18, 1) == b"GET / HTTP/1.1\r\n\r\n"
        tunnel = relay(near, far, on_end=lambda *_: None)
        assert await backend.recv(timeout=1) == b"and more"
        tunnel.close()

    run(main())


def test_tls_reset(secure: Any, connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = await secure()
        backend, far = connected()
        ends: list[End] = []
        tunnel = relay(near, far, on_end=lambda _, reason: ends.append(reason))
        client._broken = True
        client.abort()
        assert await backend.recv(timeout=1) == b""
        assert ends == [End.CLIENT_RESET]
        assert tunnel.errno == 104

    run(main())


def test_tls_closed_at_will_says_so(secure: Any, connected: Connected, loop: Loop, run: Run) -> None:
    async def main() -> None:
        client, near = await secure()
        _, far = connected()
        tunnel = relay(near, far, on_end=lambda *_: None)
        tunnel.close()
        await client.readable(1)
        for _ in range(5):  # the first records are session tickets
            try:
                assert client.ssl.read(10) == b""  # an end without close_notify raises SSLEOFError
                return
            except ssl.SSLWantReadError:
                await asyncio.sleep(0.01)
        raise AssertionError("no close_notify")

    run(main())
