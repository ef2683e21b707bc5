"""TLS streams: the context chosen by name before the socket is wrapped, and the rest of a stream's life."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from penstock.net.errors import NetError, PeerGone, TimedOut, TlsFailed
from penstock.net.fiber import spawn
from penstock.net.loop import Loop
from penstock.net.stream import Stream
from penstock.net.tls import tls
from penstock.net.tls.hello import Hello, NotTls
from penstock.net.tls.tls import TlsStream

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Connected = Callable[[], tuple[Stream, Stream]]
Secured = Callable[[], Coroutine[Any, Any, tuple[TlsStream, TlsStream]]]


def test_handshake_and_exchange(secured: Secured, run: Run) -> None:
    async def main() -> None:
        client, server = await secured()
        assert server.hello is not None
        assert server.hello.server_name == "localhost"
        assert server.ssl.selected_alpn_protocol() == "http/1.1"
        assert client.ssl.version() == "TLSv1.3"
        await client.send_all([b"GET ", b"/"])
        assert await server.recv(timeout=5) == b"GET /"
        await server.send_all(b"answer")
        assert await client.recv(timeout=5) == b"answer"
        assert (server.received, server.sent) == (5, 6)
        client.close()
        assert await server.recv(timeout=5) == b""
        server.close()

    run(main())


def test_none_has_a_socket_object_and_each_has_its_own_descriptor(secured: Secured, run: Run, loop: Loop) -> None:
    """The library wants an object, of which it reads the number once: one stands for all of them."""

    async def main() -> None:
        pairs = [await secured() for _ in range(3)]
        for number, (client, _) in enumerate(pairs):
            await client.send_all(b"from %d" % number)
        for number, (client, server) in enumerate(reversed(pairs)):
            assert await server.recv(timeout=5) == b"from %d" % (2 - number)
            await server.send_all(b"to %d" % number)
            assert await client.recv(timeout=5) == b"to %d" % number
        assert {stream._sock for pair in pairs for stream in pair} == {None}
        (client, server), (other, _), _ = pairs
        client.close()
        assert await server.recv(timeout=5) == b"" and not server._broken
        other.abort()
        for _, server in pairs:
            server.close()
        assert loop.hot.handlers.keys().isdisjoint({server.fd for _, server in pairs})
        for client, _ in pairs:
            client.close()

    run(main())


def test_much_data_and_what_openssl_holds_back(secured: Secured, run: Run) -> None:
    data = os.urandom(2 << 20)

    async def reads(stream: Stream, limit: int) -> bytes:
        got = bytearray()
        while piece := await stream.recv(limit, 5):
            got += piece
        return bytes(got)

    async def main() -> None:
        client, server = await secured()
        reader = spawn(reads(server, 1000))
        await client.send_all(data, 5)
        client.shutdown_write()
        assert await reader.join() == data

    run(main())


def test_sendfile_reads_and_encrypts(secured: Secured, run: Run) -> None:
    data = os.urandom(300000)

    async def main() -> None:
        client, server = await secured()
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            sending = spawn(server.sendfile(file.fileno(), 10, len(data), 5))
            got = bytearray()
            while len(got) < len(data) - 10:
                got += await client.recv(65536, 5)
            assert await sending.join() == len(data) - 10
        assert got == data[10:]

    run(main())


def test_the_context_is_chosen_by_what_the_client_asks(
    connected: Connected,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    certificate: tuple[Path, Path],
    run: Run,
) -> None:
    """A host that requires client certificates does, though another one on the address does not."""
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strict.load_cert_chain(*certificate)
    strict.load_verify_locations(certificate[0])
    strict.verify_mode = ssl.CERT_REQUIRED

    def choose(hello: Hello) -> ssl.SSLContext:
        return strict if hello.server_name == "other.test" else server_context

    async def visit(name: str) -> None:
        near, far = connected()
        server = spawn(tls.accept(far, choose, 5))
        client = await tls.connect(near, client_context, name, timeout=5)
        await (await server.join()).send_all(b"welcome")
        assert await client.recv(timeout=5) == b"welcome"

    async def main() -> None:
        await visit("localhost")
        with pytest.raises(TlsFailed) as refused:
            await visit("other.test")
        assert "CERTIFICATE" in refused.value.reason

    run(main())


def test_no_context_is_an_alert(connected: Connected, client_context: ssl.SSLContext, run: Run) -> None:
    async def main() -> None:
        near, far = connected()
        server = spawn(tls.accept(far, lambda _: None, 5))
        with pytest.raises(TlsFailed) as refused:
            await tls.connect(near, client_context, "localhost", timeout=5)
        assert refused.value.reason == "TLSV1_UNRECOGNIZED_NAME"
        with pytest.raises(TlsFailed):
            await server.join()

    run(main())


def test_a_hello_in_pieces(
    connected: Connected, server_context: ssl.SSLContext, client_context: ssl.SSLContext, run: Run
) -> None:
    """It comes byte by byte, and the server is woken no more often than bytes come."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    wrapped = client_context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    async def main() -> None:
        near, far = connected()
        server = spawn(tls.accept(far, lambda _: server_context, 5))
        with pytest.raises(ssl.SSLWantReadError):
            wrapped.do_handshake()
        hello = outgoing.read()
        for at in range(0, len(hello), 40):
            near.send_now(hello[at : at + 40])
            await asyncio.sleep(0.001)
        while True:
            incoming.write(await near.recv(timeout=5))
            try:
                wrapped.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        await near.send_all(outgoing.read())
        await (await server.join()).send_all(b"welcome")
        while True:
            incoming.write(await near.recv(timeout=5))
            try:
                assert wrapped.read() == b"welcome"
                break
            except ssl.SSLWantReadError:
                pass

    run(main())


def test_plain_http_is_left_in_the_stream(connected: Connected, server_context: ssl.SSLContext, run: Run) -> None:
    async def main() -> None:
        near, far = connected()
        near.send_now(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(NotTls):
            await tls.accept(far, lambda _: server_context, 5)
        assert await far.recv() == b"GET / HTTP/1.1\r\n\r\n"
        await far.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    run(main())


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02"])
def test_a_client_that_says_no_more(
    said: bytes, connected: Connected, server_context: ssl.SSLContext, run: Run
) -> None:
    async def main() -> None:
        near, far = connected()
        near.send_now(said)
        with pytest.raises(TimedOut):
            await tls.accept(far, lambda _: server_context, 0.03)
        assert far.closed
        near, far = connected()
        near.send_now(said)
        near.shutdown_write()
        with pytest.raises(TlsFailed):
            await tls.accept(far, lambda _: server_context, 5)
        assert far.closed

    run(main())


def test_a_server_that_speaks_no_tls(connected: Connected, client_context: ssl.SSLContext, run: Run) -> None:
    async def main() -> None:
        near, far = connected()
        far.send_now(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(TlsFailed) as failed:
            await tls.connect(near, client_context, "localhost", timeout=5)
        assert failed.value.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
        assert near.closed

    run(main())


def test_a_certificate_for_somebody_else(
    secured: Secured, connected: Connected, server_context: ssl.SSLContext, client_context: ssl.SSLContext, run: Run
) -> None:
    async def main() -> None:
        near, far = connected()
        server = spawn(tls.accept(far, lambda _: server_context, 5))
        with pytest.raises(TlsFailed) as failed:
            await tls.connect(near, client_context, "wrong.test", timeout=5)
        assert failed.value.reason == "CERTIFICATE_VERIFY_FAILED"
        with pytest.raises(NetError):
            await (await server.join()).recv(timeout=5)

    run(main())


def test_reset_is_peer_gone(secured: Secured, run: Run) -> None:
    async def main() -> None:
        client, server = await secured()
        client._broken = True  # no close_notify: a machine that lost power says nothing
        client.abort()
        with pytest.raises(PeerGone):
            while await server.recv(timeout=5):
                pass

    run(main())


def test_an_end_without_close_notify_is_an_end(secured: Secured, run: Run) -> None:
    async def main() -> None:
        client, server = await secured()
        socket.socket.shutdown(client.sock, socket.SHUT_WR)
        assert await server.recv(timeout=5) == b""

    run(main())


def test_hangup_of_an_idle_stream(secured: Secured, run: Run) -> None:
    async def main() -> None:
        client, server = await secured()
        told: list[int] = []
        await server.send_all(b"x")
        await client.recv(timeout=5)
        await client.send_all(b"x")
        await server.recv(timeout=5)
        server.on_hangup = lambda: told.append(1)
        client.close()
        while not told:
            await asyncio.sleep(0.01)
        assert told == [1]

    run(main())


def test_lingering_close(secured: Secured, run: Run) -> None:
    async def main() -> None:
        client, server = await secured()
        await server.send_all(b"answer")
        closing = spawn(server.lingering_close(2, 1))
        await client.send_all(b"more of a body nobody wants")
        assert await client.recv(timeout=5) == b"answer"
        assert await client.recv(timeout=5) == b""
        client.close()
        await closing.join()
        assert server.closed

    run(main())


def test_a_session_is_resumed(
    connected: Connected, server_context: ssl.SSLContext, client_context: ssl.SSLContext, run: Run
) -> None:
    async def main() -> None:
        session = None
        for visit in range(2):
            near, far = connected()
            server = spawn(tls.accept(far, lambda _: server_context, 5))
            client = await tls.connect(near, client_context, "localhost", session, 5)
            await (await server.join()).send_all(b"x")
            assert await client.recv(timeout=5) == b"x"
            session = client.ssl.session
            assert client.ssl.session_reused == (visit == 1)

    run(main())


def test_a_peer_that_is_gone_before_the_handshake(
    connected: Connected, client_context: ssl.SSLContext, run: Run
) -> None:
    async def main() -> None:
        near, far = connected()
        far.abort()
        with pytest.raises(NetError):
            await tls.connect(near, client_context, "localhost", timeout=5)
        assert near.closed

    run(main())
