"""The queue before the bounds: whose turn it is, who is turned away, and that nobody stays in it."""

from __future__ import annotations

from harness.fibers import run
from penstock.net.fiber import Fiber
from penstock.net.loop import Loop
from penstock.upstream.admission.gate import Gate
from penstock.upstream.admission.rule import AdmissionRule


def test_each_address_has_its_turn() -> None:
    gate = Gate(AdmissionRule(in_progress=1, queue=10.0), "g")
    order: list[str] = []

    async def work(loop: Loop) -> None:
        assert await gate.enter("first")

        async def one(name: str) -> None:
            assert await gate.enter(name[0])
            order.append(name)
            gate.leave()

        fibers = [Fiber(one(name)) for name in ("a1", "a2", "a3", "a4", "b1", "c1", "c2")]
        for fiber in fibers:
            fiber.resume()
        assert len(gate) == 7
        assert order == []
        gate.leave()
        for fiber in fibers:
            await fiber.join()

    run(work)
    assert order == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]
    assert len(gate) == 0
    assert gate.bounds.under_way == 0


def test_who_would_wait_too_long_is_turned_away_at_once() -> None:
    """With two a second and nearly three seconds to wait there is room for five; but one from elsewhere is soon on.

    The last one's turn comes 0.4 s before its time is over: a machine may be late by so much.
    """
    gate = Gate(AdmissionRule(rate=2.0, queue=2.9), "g")
    found: dict[str, bool] = {}

    async def work(loop: Loop) -> None:
        began = loop.timers.now

        async def one(name: str) -> None:
            found[name] = await gate.enter(name[0])

        assert await gate.enter("a")
        fibers = [Fiber(one(f"a{number}")) for number in range(8)]
        for fiber in fibers:
            fiber.resume()
        assert sorted(found) == ["a5", "a6", "a7"]
        assert loop.timers.now == began
        other = Fiber(one("b0"))
        other.resume()
        assert len(gate) == 6
        for fiber in (*fibers, other):
            await fiber.join()

    run(work)
    assert found["b0"]
    assert gate.turned >= 3
    assert sum(found.values()) >= 5


def test_who_waits_in_vain_is_turned_away() -> None:
    gate = Gate(AdmissionRule(in_progress=1, queue=0.1), "g")
    found: list[bool] = []

    async def work(loop: Loop) -> None:
        assert await gate.enter("a")
        began = loop.timers.now
        found.append(await gate.enter("b"))
        assert loop.timers.now - began >= 0.1

    run(work)
    assert found == [False]
    assert (len(gate), gate.turned, gate.bounds.under_way) == (0, 1, 1)


def test_who_hangs_up_leaves_it_and_gives_back_what_it_got() -> None:
    gate = Gate(AdmissionRule(in_progress=1, queue=10.0), "g")

    async def work(loop: Loop) -> None:
        assert await gate.enter("a")

        async def one() -> None:
            await gate.enter("b")

        fibers = [Fiber(one()) for _ in range(2)]
        for fiber in fibers:
            fiber.resume()
        fibers[0].cancel()
        assert len(gate) == 1
        gate.leave()
        await fibers[1].join()
        assert gate.bounds.under_way == 1

    run(work)


def test_nobody_waits_where_there_is_no_queue() -> None:
    gate = Gate(AdmissionRule(in_progress=1, queue=0.0), "g")
    found: list[bool] = []

    async def work(loop: Loop) -> None:
        found.extend([await gate.enter("a"), await gate.enter("a")])

    run(work)
    assert found == [True, False]
