"""Failures and passes in a row, several checks of one peer, and who it is that checks."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from penstock.net.fiber import Fiber
from penstock.net.loop import new_loop
from penstock.upstream.checks import rounds
from penstock.upstream.checks.check import Check
from penstock.upstream.checks.rounds import Round, Rounds
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.health import CheckState
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.zone_table import RECORD, CheckedPeer, PeerTable, SharedPeer


def prepare(fields: object) -> None:
    raise AssertionError("nobody is asked here")


def check(**values: object) -> Check:
    return Check(prepare, **{"interval": 0.01, **values})  # type: ignore[arg-type]


def peer(state: CheckState = CheckState.UNKNOWN) -> Peer:
    made = Peer(("127.0.0.1", 1), "127.0.0.1:1", "a", ServerOptions())
    made.health.state = state
    return made


@pytest.mark.parametrize(
    ("state", "results", "bad"),
    [
        (CheckState.UNKNOWN, "", None),
        (CheckState.UNKNOWN, "+", False),
        (CheckState.UNKNOWN, "--", None),
        (CheckState.UNKNOWN, "---", True),
        (CheckState.UNKNOWN, "--+--", False),
        (CheckState.UNKNOWN, "---+", True),
        (CheckState.UNKNOWN, "---++", False),
        (CheckState.UNKNOWN, "---+-+", True),
        (CheckState.UNHEALTHY, "+", True),
        (CheckState.UNHEALTHY, "++", False),
        (CheckState.CHECKING, "-", True),
        (CheckState.CHECKING, "+", False),
    ],
)
def test_in_a_row(state: CheckState, results: str, bad: bool | None) -> None:
    mine = Round(check(fails=3, passes=2), peer(state))
    for result in results:
        mine.ended("" if result == "+" else "no", waited_for=state == CheckState.CHECKING)
    assert mine.bad is bad


class Scripted:
    """In the place of `Asking`: says of each port what `answers` has for it."""

    answers: dict[int, str]

    def __init__(self, check: Check, address: tuple[str, int]) -> None:
        self.port = address[1] if not check.port else check.port

    async def ask(self) -> str:
        return self.answers[self.port]

    def close(self) -> None:
        pass


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    found: dict[int, str] = {}
    monkeypatch.setattr(Scripted, "answers", found, raising=False)
    monkeypatch.setattr(rounds, "Asking", Scripted)
    monkeypatch.setattr(rounds, "STEP", 0.01)
    return found


def made(*checks: Check) -> tuple[Group, PeerTable, list[str]]:
    table = PeerTable("z", 8 * RECORD)
    peers: list[Peer] = [
        SharedPeer(table, table.record(str(port)), ("127.0.0.1", port), f"p{port}", "a", ServerOptions())
        for port in (1, 2)
    ]
    group = Group("app", peers)
    group.check(checks, 0.0)
    return group, table, []


def run(group: Group, table: PeerTable, said: list[str], until: Callable[[], bool], more: Callable[[], None]) -> None:
    loop = new_loop()
    beginning: list[Fiber[None]] = []

    def look() -> None:
        if until():
            beginning[0].cancel()
            loop.call_soon(loop.stop)
        else:
            more()
            loop.call_later(0.01, look)

    def begin() -> None:
        beginning.append(Rounds(group, group.checks, table, lambda good, text: said.append(text)).begin(lambda: True))
        look()

    try:
        loop.call_soon(begin)
        loop.call_later(15.0, loop.stop)
        loop.run_forever()
    finally:
        loop.close()


def test_one_check_that_fails_is_enough(answers: dict[int, str]) -> None:
    group, table, said = made(check(), check(port=9))
    answers.update({1: "", 2: "no", 9: ""})
    one, two = group.peers
    assert isinstance(one, CheckedPeer)
    run(group, table, said, lambda: one.health.checks > 4 and two.health.checks > 4, lambda: None)
    assert (one.available(0.0), two.available(0.0)) == (True, False)
    assert not two.bare()
    assert said == ['peer p2 in upstream "app" is unhealthy: no']


def test_one_that_comes_back_is_told_of_once(answers: dict[int, str]) -> None:
    group, table, said = made(check(fails=2, passes=2))
    answers.update({1: "", 2: "no"})
    two = group.peers[1]

    def mend() -> None:
        if not two.health.usable:
            answers[2] = ""

    run(group, table, said, lambda: two.health.returned > 0.0, mend)
    assert [line.partition(" is ")[2] for line in said] == ["unhealthy: no", "healthy"]
    assert two.health.unhealthy == 1


def test_one_that_is_waited_for_is_not_used_before(answers: dict[int, str]) -> None:
    group, table, said = made(check(mandatory=True))
    answers.update({1: "", 2: "no"})
    assert [each.available(0.0) for each in group.peers] == [False, False]
    run(group, table, said, lambda: all(each.health.checks for each in group.peers), lambda: None)
    assert [each.available(0.0) for each in group.peers] == [True, False]


def test_one_process_checks_and_another_takes_over(answers: dict[int, str]) -> None:
    group, table, said = made(check())
    answers.update({1: "", 2: ""})
    ready, told = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        assert table.checks()
        os.write(ready[1], b"x")
        os.read(told[0], 1)
        os.kill(os.getpid(), 9)
    os.read(ready[0], 1)
    steps = 0

    def wait() -> None:
        nonlocal steps
        steps += 1
        if steps == 20:
            assert not any(each.health.checks for each in group.peers), "another does it"
            os.write(told[1], b"x")

    run(group, table, said, lambda: all(each.health.checks for each in group.peers), wait)
    os.waitpid(child, 0)
    assert steps >= 20
    for fd in (*ready, *told):
        os.close(fd)


def test_a_group_of_one_is_refused_too_when_it_is_unwell() -> None:
    table = PeerTable("z", 8 * RECORD)
    only = SharedPeer(table, table.record("1"), ("127.0.0.1", 1), "p", "a", ServerOptions())
    group = Group("app", [only])
    assert group.primary.single
    group.check([check()], 0.0)
    assert not group.primary.single
    only.health.put_out(1.0)
    selection = group.select(None)  # type: ignore[arg-type]
    assert selection.next(2.0) is None
    assert selection.last_resort(2.0) is None
