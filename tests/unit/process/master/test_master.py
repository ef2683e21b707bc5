"""The master and its workers: who is started, told, replaced and killed, and when. No process is made here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from signal import SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.plan.plan import Plan
from penstock.process.channel import Channel
from penstock.process.master import master as module
from penstock.process.master.comebacks import LONGEST_DELAY, PROVEN
from penstock.process.master.master import KILL_AFTER, Master
from penstock.process.startup.inherited import Inherited
from penstock.process.startup.launch import Launch
from penstock.process.startup.listening import Sockets
from penstock.process.worker.serving import FATAL

EMPTY = Plan(None, None, None, [], [], None, [], "/", "/x.conf")  # type: ignore[arg-type]


class Manager:
    """Notes what the service manager is told."""

    due = float("inf")

    def __init__(self) -> None:
        self.told: list[str] = []
        self.cells: list[int] = []

    def cell(self) -> int:
        self.cells.append(len(self.cells))
        return self.cells[-1]

    def reaped(self, cell: int) -> None:
        self.cells[cell] = -1

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.told.append(name)


class House:
    """A master with a clock of its own. `forks` are the process ids that it gets, an error where it can have none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, workers: int = 2, *, daemonised: bool = True) -> None:
        self.now = 1000.0
        self.killed: list[tuple[int, int]] = []
        self.gone: list[int] = []
        self.dead: list[tuple[int, int]] = []
        self.lines: list[str] = []
        self.next_pid = 100
        self.refusing = False
        self.cycle = SimpleNamespace(
            workers=workers,
            sockets=Sockets(),
            files=[],
            control="",
            user=None,
            plan=EMPTY,
            log=None,
            main=None,
            record=None,
        )
        monkeypatch.setattr(Channel, "signal_to", lambda channel, pid: None)  # SIGIO would end whoever runs this
        monkeypatch.setattr(module.os, "fork", self._fork)
        monkeypatch.setattr(module.os, "kill", lambda pid, number: self.killed.append((pid, number)))
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr("penstock.process.master.child.monotonic", lambda: self.now)
        monkeypatch.setattr("penstock.process.master.comebacks.monotonic", lambda: self.now)
        monkeypatch.setattr(module, "reap", self._reap)
        monkeypatch.setattr(module, "Manager", Manager)
        for place in ("master", "comebacks"):
            told = f"penstock.process.master.{place}.report"
            monkeypatch.setattr(told, lambda _, level, text: self.lines.append(text))
        self.master = Master(Launch("/", "/x.conf", ""), self.cycle, Inherited(), daemonised=daemonised)  # type: ignore[arg-type]
        self.master.reload.gone = lambda child: self.gone.append(child.pid)  # type: ignore[method-assign]
        self.master._start_workers()
        self.lines.clear()

    def _fork(self) -> int:
        if self.refusing:
            raise OSError(11, "Resource temporarily unavailable")
        self.next_pid += 1
        return self.next_pid

    def _reap(self) -> list[tuple[int, int]]:
        dead, self.dead = self.dead, []
        return dead

    @property
    def places(self) -> list[tuple[int, int]]:
        """Pairs of process id and place of those that stay."""
        return [(child.pid, child.index) for child in self.master.children.values() if not child.leaving]

    def signal(self, number: int) -> None:
        self.master._on_signal(number, 1)

    def die(self, pid: int, status: int = 1 << 8) -> None:
        self.dead.append((pid, status))
        self.signal(SIGCHLD)

    def turn(self, seconds: float = 0.0) -> None:
        """What the master does between two signals, so many seconds later."""
        self.now += seconds
        self.master._respawn()
        self.master._escalate()

    def close(self) -> None:
        for child in self.master.children.values():
            child.channel.close()
        os.close(self.master._life_read)
        os.close(self.master._life_write)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(monkeypatch)
    yield made
    made.close()


def test_each_place_has_a_worker(house: House) -> None:
    assert house.places == [(101, 0), (102, 1)]
    assert house.master.manager.cells == [0, 1]  # type: ignore[attr-defined]


def test_a_worker_that_dies_is_replaced_at_once(house: House) -> None:
    house.die(101)
    house.turn()
    assert house.places == [(102, 1), (103, 0)]
    assert house.gone == [101]
    assert house.master._timeout() is None


def test_a_place_whose_workers_die_in_a_row_waits_longer_and_longer(house: House) -> None:
    pid, waited = 101, []
    for _ in range(11):
        house.die(pid)
        waited.append(house.master._timeout())
        house.turn()
        if waited[-1]:
            assert len(house.places) == 1, "it is too early"
            house.turn(waited[-1])
        pid = house.next_pid
        assert len(house.places) == 2
    assert waited == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10])
    assert "11 workers in a row have died soon after their start" in " ".join(house.lines)


def test_one_that_has_served_for_long_begins_a_new_row(house: House) -> None:
    house.die(101)
    house.turn()
    house.die(103)
    house.turn(0.1)
    house.turn(PROVEN + 1)
    house.die(104)
    assert house.master._timeout() == 0


def test_one_that_can_not_serve_at_all_is_not_replaced(house: House) -> None:
    house.die(101, FATAL << 8)
    house.turn(100)
    assert house.places == [(102, 1)]
    assert f"worker process 101 exited with fatal code {FATAL} and cannot be respawned" in house.lines


def test_a_worker_that_crashes_is_told_of(house: House) -> None:
    house.die(101, 11)
    assert house.lines == ["worker process 101 exited on signal 11"]


def test_where_no_process_can_be_made_it_tries_again_later(house: House) -> None:
    house.refusing = True
    house.die(101)
    house.turn()
    assert house.places == [(102, 1)]
    assert house.master._timeout() == LONGEST_DELAY
    house.refusing = False
    house.turn(LONGEST_DELAY)
    assert house.places == [(102, 1), (103, 0)]


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_workers_that_do_not_go_are_killed(house: House, number: int) -> None:
    house.signal(number)
    assert house.killed == [(101, SIGTERM), (102, SIGTERM)]
    house.die(102, 0)
    house.turn(KILL_AFTER / 2)
    assert len(house.killed) == 2
    house.turn(KILL_AFTER)
    assert house.killed[2:] == [(101, SIGKILL)]
    house.turn(100)
    assert len(house.killed) == 3, "once is enough"
    assert house.places == [(101, 0)], "nobody takes the place of one that goes"


def test_a_second_signal_does_not_put_off_the_end(house: House) -> None:
    house.signal(SIGTERM)
    house.turn(KILL_AFTER / 2)
    house.signal(SIGTERM)
    house.turn(KILL_AFTER / 2)
    assert (101, SIGKILL) in house.killed


def test_workers_that_finish_what_they_have_are_not_hurried(house: House) -> None:
    house.signal(SIGQUIT)
    house.turn(1000)
    assert house.killed == [(101, SIGQUIT), (102, SIGQUIT)]
    house.die(101, 0)
    house.turn(1000)
    assert house.places == [(102, 1)]


def test_a_reload_while_it_stops_is_none(house: House) -> None:
    house.signal(SIGTERM)
    house.signal(SIGHUP)
    assert "reconfiguring" not in house.lines
    assert "reloading" not in house.master.manager.told  # type: ignore[attr-defined]


def test_winch_sends_workers_away_where_nobody_looks_at_a_terminal(house: House) -> None:
    house.signal(SIGWINCH)
    assert house.killed == [(101, SIGQUIT), (102, SIGQUIT)]
    house.die(101, 0)
    house.turn(1000)
    assert house.places == []


def test_winch_of_a_terminal_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, daemonised=False)
    house.signal(SIGWINCH)
    assert house.killed == []
    assert len(house.places) == 2
    house.close()


def test_a_reload_may_ask_for_more_workers(house: House) -> None:
    house.cycle.workers = 4
    house.master._match_number()
    assert house.places == [(101, 0), (102, 1), (103, 2), (104, 3)]


def test_a_worker_that_is_too_many_gives_its_tunnels_away_and_goes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Channel, Channel]] = []
    monkeypatch.setattr(module, "give_to_sibling", lambda giver, taker: given.append((giver, taker)))
    first, second = house.master.children.values()
    house.cycle.workers = 1
    house.master._match_number()
    assert given == [(second.channel, first.channel)]
    assert house.killed == [(102, SIGQUIT)]
    house.die(102, 0)
    house.turn(100)
    assert house.places == [(101, 0)]


def test_a_place_that_is_no_more_is_not_filled(house: House) -> None:
    house.die(102)
    house.cycle.workers = 1
    house.master._match_number()
    house.turn(100)
    assert house.places == [(101, 0)]


def test_workers_in_whose_place_nobody_begins_stay(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """`_replace`: of two new ones, one accepts and one does not."""
    monkeypatch.setattr(module, "wait_until_begun", lambda pipe, count, patience: {103})
    left = house.master._replace(list(house.master.children.values()), 1.0)
    assert [child.pid for child in left] == [102]
    assert house.killed == [(104, SIGKILL), (101, SIGQUIT)]
    assert house.places == [(102, 1), (103, 0)]


def test_without_any_new_worker_the_old_ones_go_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wait_until_begun", lambda pipe, count, patience: set())
    assert not house.master._replace_all(1.0)
    assert house.places == [(101, 0), (102, 1)]


def test_a_process_that_nobody_knows_is_told_of_and_no_more(house: House) -> None:
    house.die(9999, 0)
    house.turn()
    assert house.lines == ["unknown process 9999 exited with code 0"]
    assert len(house.places) == 2


def test_who_does_not_hear_of_new_logs_is_sent_a_signal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "redirect_stderr", lambda plan, log: None)
    house.cycle.files = type("Files", (list,), {"reopen": lambda self, uid: []})()
    sent: list[str] = []
    hears, _ = house.master.children.values()
    monkeypatch.setattr(Channel, "send", lambda channel, kind, *_: sent.append(kind) or channel is hears.channel)
    house.signal(SIGUSR1)
    assert sent == ["logs", "logs"]
    assert house.killed == [(102, SIGUSR1)]
