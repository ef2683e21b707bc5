"""A loop per test, connected streams, and certificates made on the spot."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penstock.net.fiber import spawn
from penstock.net.loop import Loop, new_loop
from penstock.net.stream import Stream
from penstock.net.tls import tls
from penstock.net.tls.tls import TlsStream

Connected = Callable[[], tuple[Stream, Stream]]
Secured = Callable[[], Coroutine[Any, Any, tuple[TlsStream, TlsStream]]]


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = new_loop()
    failures: list[BaseException] = []
    loop.hot.on_error = lambda _, exc: failures.append(exc)
    yield loop
    loop.close()
    assert not failures


@pytest.fixture
def run(loop: Loop) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine as a fiber to its end; no test waits longer than a minute."""

    def run(coro: Coroutine[Any, Any, Any]) -> Any:
        loop.call_later(60, loop.stop)
        return loop.run(coro)

    return run


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection, with small buffers: some tests fill them."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    near = socket.socket()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    near.connect(listening.getsockname())
    far, _ = listening.accept()
    listening.close()
    for sock in (near, far):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


@pytest.fixture(params=["tcp", "unix"])
def sockets(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    if request.param == "tcp":
        near, far = tcp_pair()
    else:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
    yield near, far
    near.close()
    far.close()


@pytest.fixture
def pair(loop: Loop, sockets: tuple[socket.socket, socket.socket]) -> tuple[Stream, Stream]:
    """Two streams that are each other's peer, over TCP and over a unix socket pair."""
    near, far = sockets
    return Stream(near, loop), Stream(far, loop)


@pytest.fixture
def connected(loop: Loop) -> Iterator[Connected]:
    """Makes pairs of streams over TCP."""
    made: list[Stream] = []

    def connected() -> tuple[Stream, Stream]:
        near, far = tcp_pair()
        streams = Stream(near, loop), Stream(far, loop)
        made.extend(streams)
        return streams

    yield connected
    for stream in made:
        stream.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate, key), self-signed, for `localhost` and `other.test`."""
    directory = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("other.test")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "cert.pem", directory / "key.pem"


@pytest.fixture
def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.fixture
def client_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


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


@pytest.fixture
def secured(connected: Connected, server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> Secured:
    """Makes (client, server) streams that have shaken hands."""

    async def secured() -> tuple[TlsStream, TlsStream]:
        near, far = connected()
        server = spawn(tls.accept(far, lambda _: server_context, 5))
        client = await tls.connect(near, client_context, "localhost", timeout=5)
        return client, await server.join()

    return secured
