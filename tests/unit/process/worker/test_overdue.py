"""What is left after `worker_shutdown_timeout`."""

from math import inf

from penstock.net.loop import new_loop
from penstock.process.worker.overdue import Overdue, notice_of


def test_each_has_its_time_and_is_told_before() -> None:
    loop = new_loop()
    told: list[tuple[str, float, float]] = []
    began = loop.timers.now

    def note(what: str, moment: float) -> None:
        told.append((what, moment, loop.timers.now - began))

    overdue = Overdue(loop.timers, lambda moment: note("dismiss", moment), lambda moment: note("cut", moment))
    overdue.add(0.4, 1.0)
    overdue.add(0.2, 2.0)  # of a configuration with less patience, which came later
    overdue.add(0.8, inf)
    loop.call_later(1.2, loop.stop)
    loop.run_forever()
    loop.close()
    assert [entry[:2] for entry in told] == [
        ("dismiss", 2.0), ("cut", 2.0), ("dismiss", 1.0), ("cut", 1.0), ("dismiss", inf), ("cut", inf),
    ]  # fmt: skip
    due = [0.15, 0.2, 0.3, 0.4, 0.6, 0.8]
    assert all(entry[2] >= when - 0.001 for entry, when in zip(told, due, strict=True)), told


def test_the_notice_is_short() -> None:
    assert (notice_of(0.4), notice_of(2), notice_of(60)) == (0.1, 0.5, 1.0)
