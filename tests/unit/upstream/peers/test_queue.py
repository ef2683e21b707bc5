"""Requests that wait for a server: in their order, so many, so long, and none is left behind."""

from __future__ import annotations

import pytest

from harness.fibers import run
from penstock.net.fiber import Fiber
from penstock.net.loop import Loop
from penstock.upstream.peers.balancers import Balancer, LeastConn, PeerSelection
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.hashing import IpHash
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.queue import Queue, Queueing, may_wait, worth_waiting


def group(queue: Queue, options: ServerOptions, count: int = 1, balancer: Balancer = PeerSelection) -> Group:
    peers = [Peer(("127.0.0.1", place), f"p{place}", "a", options) for place in range(count)]
    made = Group("app", peers, balancer=Queueing(balancer))
    made.queue = queue
    return made


@pytest.mark.parametrize("balancer", [PeerSelection, LeastConn])
def test_first_come_first_served(balancer: Balancer) -> None:
    queue = Queue(10, 5.0)
    made = group(queue, ServerOptions(max_conns=1), 2, balancer)
    served: list[int] = []

    async def work(loop: Loop) -> None:
        holding = [made.select(None) for _ in range(2)]  # type: ignore[arg-type]
        held = [selection.next(loop.timers.now) for selection in holding]
        assert all(held)

        async def request(number: int) -> None:
            selection = made.select(None)  # type: ignore[arg-type]
            assert selection.next(loop.timers.now) is None
            assert worth_waiting(selection, loop.timers.now)
            peer = await queue.wait(selection)
            assert peer is not None
            served.append(number)
            selection.done(peer)

        fibers = [Fiber(request(number)) for number in range(5)]
        for fiber in fibers:
            fiber.resume()
        assert len(queue) == 5
        for selection, peer in zip(holding, held, strict=True):
            assert peer is not None
            selection.done(peer)
        for fiber in fibers:
            await fiber.join()

    run(work)
    assert served == [0, 1, 2, 3, 4]
    assert [peer.active for peer in made.peers] == [0, 0]
    assert len(queue) == 0


def test_there_is_a_limit_to_how_many_and_how_long() -> None:
    queue = Queue(1, 0.1)
    made = group(queue, ServerOptions(max_conns=1))
    made.peers[0].active = 1
    found: list[Peer | None] = []

    async def work(loop: Loop) -> None:
        async def request() -> None:
            found.append(await queue.wait(made.select(None)))  # type: ignore[arg-type]

        fibers = [Fiber(request()) for _ in range(2)]
        for fiber in fibers:
            fiber.resume()
        assert found == [None], "there is room for one"
        for fiber in fibers:
            await fiber.join()

    run(work)
    assert found == [None, None]
    assert (queue.overflows, len(queue)) == (1, 0)


def test_who_goes_leaves_it(wait: float = 5.0) -> None:
    queue = Queue(4, wait)
    made = group(queue, ServerOptions(max_conns=1))
    made.peers[0].active = 1

    async def work(loop: Loop) -> None:
        async def request() -> None:
            await queue.wait(made.select(None))  # type: ignore[arg-type]

        fiber = Fiber(request())
        fiber.resume()
        assert len(queue) == 1
        fiber.cancel()
        assert len(queue) == 0

    run(work)


def test_what_others_give_back_is_noticed_too() -> None:
    """Another worker, a check, a tunnel that was handed over: nobody tells the queue."""
    queue = Queue(4, 5.0)
    made = group(queue, ServerOptions(max_conns=1))
    only = made.peers[0]
    only.active = 1

    async def work(loop: Loop) -> None:
        loop.call_later(0.05, lambda: setattr(only, "active", 0))
        assert await queue.wait(made.select(None)) is only  # type: ignore[arg-type]

    run(work)
    assert only.active == 1


def test_backups_are_not_all_that_is_looked_at_later() -> None:
    queue = Queue(4, 5.0)
    peers = [
        Peer(("127.0.0.1", 1), "primary", "a", ServerOptions(max_conns=1)),
        Peer(("127.0.0.1", 2), "backup", "b", ServerOptions(max_conns=1, backup=True)),
    ]
    made = Group("app", peers, balancer=Queueing(PeerSelection))
    made.queue = queue
    for peer in peers:
        peer.active = 1

    async def work(loop: Loop) -> None:
        selection = made.select(None)  # type: ignore[arg-type]
        assert selection.next(loop.timers.now) is None
        peers[0].active = 0
        assert await queue.wait(selection) is peers[0]

    run(work)


def test_when_waiting_is_better_than_one_that_has_failed() -> None:
    queue = Queue(4, 5.0)
    made = group(queue, ServerOptions(max_conns=1), 2)
    full, failed = made.peers
    failed.failed(1000.0)
    selection = made.select(None)  # type: ignore[arg-type]
    assert not worth_waiting(selection, 1001.0), "nobody is full"
    full.active = 1
    assert worth_waiting(selection, 1001.0)
    selection.tried = [full]
    assert not worth_waiting(selection, 1001.0)
    assert may_wait(selection)
    selection.tried = [full, failed]
    assert not may_wait(selection)


def test_over_any_balancer() -> None:
    made = group(Queue(1, 1.0), ServerOptions(), 2, IpHash)
    kinds = set()
    for _ in range(2):
        request = type("R", (), {"connection": type("C", (), {"client_address": "127.0.0.1"})})
        kinds.add(type(made.select(request)))  # type: ignore[arg-type]
    (kind,) = kinds
    assert issubclass(kind, IpHash)
