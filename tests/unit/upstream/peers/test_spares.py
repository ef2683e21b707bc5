"""Connections that wait for handshakes: which are given, and when they are closed."""

from __future__ import annotations

import asyncio
import socket

from harness.fibers import until
from penstock.net.loop import Loop, new_loop
from penstock.upstream.exchange.policy import Policy
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.spares import Preconnect, Spares


class Listening:
    """A backend that takes whatever connects; `spares` of a peer that leads to it."""

    def __init__(self, loop: Loop, options: Preconnect, max_conns: int = 0) -> None:
        self.loop = loop
        self.listener = socket.create_server(("127.0.0.1", 0))
        host, port = self.listener.getsockname()
        self.peer = Peer((host, port), f"{host}:{port}", f"{host}:{port}", ServerOptions(max_conns=max_conns))
        self.policy = Policy()
        self.spares = Spares(options)

    async def filled(self, count: int) -> None:
        self.spares.refill(self.peer, self.policy, self.loop)
        await until(lambda: len(self.spares) == count)


def run(options: Preconnect, test, max_conns: int = 0) -> None:
    loop = new_loop()

    async def inside() -> None:
        there = Listening(loop, options, max_conns)
        try:
            await test(there)
        finally:
            there.spares.retire()
            there.listener.close()

    try:
        loop.run(inside())
    finally:
        loop.close()


def test_the_oldest_is_given_to_who_made_it() -> None:
    async def test(there: Listening) -> None:
        await there.filled(3)
        address = there.peer.address
        assert there.spares.take(address, object()) is None, "another location's options may be others"
        lines = [there.spares.take(address, there.policy.owner) for _ in range(4)]
        assert lines[3] is None
        given = [line for line in lines if line is not None]
        assert [line.opened for line in given] == sorted(line.opened for line in given)
        assert all(line.reused for line in given)
        for line in given:
            line.close()

    run(Preconnect(3), test)


def test_what_is_in_use_takes_their_room() -> None:
    async def test(there: Listening) -> None:
        there.peer.active = 1
        await there.filled(2)
        there.peer.active = 2
        there.spares.make_room(there.peer)
        assert len(there.spares) == 1
        there.peer.active = 3
        there.spares.make_room(there.peer)
        assert len(there.spares) == 0

    run(Preconnect(8), test, max_conns=3)


def test_they_end_with_their_life_with_their_backend_and_with_their_place() -> None:
    async def test(there: Listening) -> None:
        await there.filled(2)
        await until(lambda: len(there.spares) == 0)
        there.spares.options = Preconnect(2, 600)
        await there.filled(2)
        accepted = [there.listener.accept()[0] for _ in range(4)]
        for sock in accepted:
            sock.close()
        await until(lambda: len(there.spares) == 0)
        await there.filled(2)
        assert there.spares.spare(1) == 1 and len(there.spares) == 1
        there.spares.keep_only({there.peer.address})
        assert len(there.spares) == 1
        there.spares.keep_only(())
        assert len(there.spares) == 0

    run(Preconnect(2, 0.05), test)


def test_a_backend_that_is_not_there_is_asked_once() -> None:
    async def test(there: Listening) -> None:
        there.listener.close()
        there.spares.refill(there.peer, there.policy, there.loop)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(there.spares) == 0 and not there.spares._filling

    run(Preconnect(5), test)
