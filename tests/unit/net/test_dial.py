"""Connecting to peers."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from penstock.net.dial import connect
from penstock.net.errors import DialFailed, TimedOut
from penstock.net.listener import bind
from penstock.net.loop import Loop

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_connects_and_sets_what_is_asked(run: Run) -> None:
    with bind(("127.0.0.1", 0)) as listening:

        async def main() -> None:
            stream = await connect(listening.getsockname(), 1, keepalive=True)
            assert stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert stream.peer_name == listening.getsockname()
            far, _ = listening.accept()
            await stream.send_all(b"x")
            assert far.recv(10) == b"x"
            stream.close()
            far.close()

        run(main())


def test_unix_and_ipv6(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "sock")

    async def main(address: Any) -> None:
        (await connect(address, 1)).close()

    with bind(path):
        run(main(path))
    try:
        sock = bind(("::1", 0))
    except OSError:
        return
    with sock:
        run(main(sock.getsockname()))


def test_from_a_local_address(run: Run) -> None:
    with bind(("127.0.0.1", 0)) as listening:

        async def main() -> None:
            stream = await connect(listening.getsockname(), 1, bind=("127.0.0.9", 0))
            assert stream.local_name is not None
            assert stream.local_name[0] == "127.0.0.9"
            stream.close()
            with pytest.raises(DialFailed) as failed:
                await connect(listening.getsockname(), 1, bind=("203.0.113.1", 0))
            assert str(failed.value) == "bind(203.0.113.1:0) failed (99: Cannot assign requested address)"

        run(main())


def test_refused_is_nginxs_sentence(run: Run, loop: Loop) -> None:
    with bind(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()

    async def main() -> None:
        with pytest.raises(DialFailed) as failed:
            await connect(address, 1)
        assert str(failed.value) == "connect() failed (111: Connection refused)"
        assert failed.value.errno == errno.ECONNREFUSED
        with pytest.raises(DialFailed) as failed:
            await connect("/nowhere/sock", 1)
        assert str(failed.value) == "connect() failed (2: No such file or directory)"
        with pytest.raises(DialFailed):
            await connect("/" + "x" * 200, 1)

    run(main())
    assert loop.hot.handlers == {}


def test_times_out(run: Run, loop: Loop) -> None:
    with bind(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)

        async def main() -> None:
            await asyncio.sleep(0.01)
            with pytest.raises(TimedOut):
                await connect(address, 0.05)

        run(main())
        for filler in fillers:
            filler.close()
    assert loop.hot.handlers == {}
