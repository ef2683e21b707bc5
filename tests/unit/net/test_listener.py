"""Listening sockets and accepting from them."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from penstock.net import listener
from penstock.net.listener import Acceptor, BindFailed, TcpKeepAlive, bind
from penstock.net.loop import Loop
from penstock.net.stream import Stream

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_options_reach_the_socket_and_those_it_accepts() -> None:
    with bind(
        ("127.0.0.1", 0),
        reuseport=True,
        rcvbuf=65536,
        sndbuf=65536,
        keepalive=TcpKeepAlive(30, 5, 3),
        fastopen=5,
        deferred=True,
    ) as sock:
        assert not sock.getblocking()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 131072


def test_an_address_in_use_is_nginxs_sentence() -> None:
    with bind(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(BindFailed) as failed:
            bind(("127.0.0.1", port))
        assert str(failed.value) == f"bind() to 127.0.0.1:{port} failed (98: Address already in use)"
        assert failed.value.errno == errno.EADDRINUSE


def test_ipv6_only_or_both() -> None:
    try:
        sock = bind(("::1", 0))
    except BindFailed:
        pytest.skip("no IPv6 here")
    with sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        with pytest.raises(BindFailed, match=r"bind\(\) to \[::1\]:\d+ failed"):
            bind(("::1", sock.getsockname()[1]))
    with bind(("::", 0), ipv6only=False) as sock:
        assert not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_a_stale_unix_socket_is_removed_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    first = bind(path)
    assert Path(path).stat().st_mode & 0o777 == 0o666
    with pytest.raises(BindFailed) as failed:
        bind(path)
    assert str(failed.value) == f"bind() to unix:{path} failed (98: Address already in use)"
    first.close()
    bind(path).close()


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    path.write_text("precious")
    with pytest.raises(BindFailed):
        bind(str(path))
    assert path.read_text() == "precious"


def test_accepts_with_the_peers_name(loop: Loop, run: Run) -> None:
    sock = bind(("127.0.0.1", 0))
    accepted: list[tuple[Stream, Any]] = []

    async def main() -> None:
        acceptor = Acceptor(loop, sock, lambda stream, peer: accepted.append((stream, peer)))
        clients = [socket.create_connection(sock.getsockname()) for _ in range(20)]
        while len(accepted) < len(clients):
            await asyncio.sleep(0.01)
        assert [peer for _, peer in accepted] == [client.getsockname() for client in clients]
        assert not accepted[0][0].sock.getblocking()
        acceptor.close()
        acceptor.close()
        with socket.create_connection(sock.getsockname()):
            await asyncio.sleep(0.02)
        assert len(accepted) == 20
        for client in clients:
            client.close()
        for stream, _ in accepted:
            stream.close()

    run(main())
    sock.close()


def test_pause_and_resume(loop: Loop, run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    sock = bind(path)
    accepted: list[Stream] = []

    async def main() -> None:
        acceptor = Acceptor(loop, sock, lambda stream, _: accepted.append(stream), shared=True)
        acceptor.pause()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            await asyncio.sleep(0.02)
            assert accepted == []
            acceptor.resume()
            acceptor.resume()
            while not accepted:
                await asyncio.sleep(0.01)
            assert len(accepted) == 1
        acceptor.close()
        accepted[0].close()

    run(main())
    sock.close()


def test_out_of_descriptors_rests_and_goes_on(loop: Loop, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # what other tests have left goes now, not while descriptors are counted
    monkeypatch.setattr(listener, "RETRY_AFTER", 0.05)
    sock = bind(("127.0.0.1", 0))
    accepted: list[Stream] = []
    troubles: list[int | None] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def trouble(exc: OSError) -> None:
        troubles.append(exc.errno)
        os.close(os.open("/dev/null", os.O_RDONLY))  # the reserve is there for a log to be opened

    async def main() -> None:
        acceptor = Acceptor(loop, sock, lambda stream, _: accepted.append(stream), on_trouble=trouble)
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(sock.getsockname())
        highest = os.dup(0)
        os.close(highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        try:
            await asyncio.sleep(0.12)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert accepted == []
        assert set(troubles) == {errno.EMFILE}
        assert 1 <= len(troubles) <= 4  # it rests, and does not spin
        while not accepted:
            await asyncio.sleep(0.01)
        assert len(accepted) == 1
        acceptor.close()
        client.close()
        accepted[0].close()

    run(main())
    sock.close()
