"""A socket for datagrams that many share: whom they are from, where they were sent to, and answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.datagram_port import DatagramPort, From, bind_datagrams, is_bound_datagram
from penstock.net.listener import BindFailed
from penstock.net.loop import Loop

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.mark.parametrize(
    ("host", "asked", "expected"), [("127.0.0.1", "127.0.0.1", ""), ("0.0.0.0", "127.0.0.3", "127.0.0.3")]
)
def test_who_sends_and_where_to(loop: Loop, run: Run, host: str, asked: str, expected: str) -> None:
    came: list[tuple[bytes, From, str]] = []

    async def main() -> bytes:
        sock = bind_datagrams((host, 0))
        port = DatagramPort(loop, sock, lambda data, name, here: came.append((data, name, here)), shared=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect((asked, sock.getsockname()[1]))
            client.send(b"question")
            for _ in range(500):
                if came:
                    break
                await asyncio.sleep(0.01)
            data, name, here = came[0]
            assert (data, name, here) == (b"question", client.getsockname(), expected)
            assert port.send(b"answer", name, here)
            answer = client.recv(100)
        port.close()
        port.close()
        sock.close()
        return answer

    assert run(main()) == b"answer"


def test_a_port_that_is_taken() -> None:
    first = bind_datagrams(("127.0.0.1", 0))
    with pytest.raises(BindFailed, match=r"bind\(\) to 127.0.0.1:\d+ failed"):
        bind_datagrams(first.getsockname())
    first.close()


def test_which_sockets_are_bound() -> None:
    bound = bind_datagrams(("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loose, socket.socket() as stream:
        assert [is_bound_datagram(each) for each in (bound, loose, stream)] == [True, False, False]
    bound.close()
