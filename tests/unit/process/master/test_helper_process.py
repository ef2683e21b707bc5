"""Helpers of the master: there while the plan wants them, another one where it wants something else, never orphans."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.processes import children
from harness.waiting import eventually
from penstock.process.master import helper_process
from penstock.process.master.helper_process import Helpers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.plan.plan import Plan


class Work:
    """Tells that it has begun, and waits; a plan is what it wants."""

    name = "busy process"

    def __init__(self, told: int) -> None:
        self._told = told

    def wanted(self, plan: Plan) -> object:
        return plan

    def do(self, plan: Plan, life: int) -> None:
        os.write(self._told, f"{plan}\n".encode())
        if cast("Any", plan) != "brief":
            select.select([life], [], [], 60)


class Around:
    """Helpers with what a master has for them."""

    def __init__(self) -> None:
        self._read, told = os.pipe()
        self._life, self.master = os.pipe()
        self._told = told
        self._others = children(os.getpid())
        self.helpers = Helpers((Work(told),), self._life, self._let_go)

    def _let_go(self) -> None:
        os.close(self.master)

    def begun(self) -> str:
        """What a helper says that begins, within ten seconds."""
        assert select.select([self._read], [], [], 10)[0]
        return os.read(self._read, 100).decode()

    def alive(self) -> set[int]:
        """The numbers of all helpers."""
        return children(os.getpid()) - self._others

    def ended(self) -> int:
        """The number of the next helper that ends."""
        return eventually(lambda: next((pid for pid in self.alive() if os.waitpid(pid, os.WNOHANG)[0]), 0))

    def close(self) -> None:
        self.helpers.stop()
        for fd in (self._read, self._told, self._life):
            os.close(fd)
        if self.master >= 0:
            os.close(self.master)


@pytest.fixture
def around() -> Iterator[Around]:
    made = Around()
    yield made
    made.close()


def plan(text: str | None) -> Plan:
    return cast("Plan", text)


def test_a_helper_is_there_while_the_plan_wants_it(around: Around) -> None:
    helpers = around.helpers
    helpers.go_by(plan(None))
    assert not around.alive()
    helpers.go_by(plan("this"))
    assert around.begun() == "this\n"
    helpers.go_by(plan("this"))
    assert len(around.alive()) == 1
    helpers.go_by(plan("that"))
    assert around.begun() == "that\n"
    assert helpers.reaped(around.ended())
    helpers.go_by(plan(None))
    assert helpers.reaped(around.ended())
    assert helpers.due == []
    assert not helpers.reaped(1)


def test_it_ends_with_the_master(around: Around) -> None:
    around.helpers.go_by(plan("this"))
    around.begun()
    os.close(around.master)
    around.master = -1
    assert around.ended()


def test_one_that_ends_by_itself_begins_again_after_a_while(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    helpers = around.helpers
    helpers.go_by(plan("brief"))
    around.begun()
    assert helpers.reaped(around.ended())
    assert len(helpers.due) == 1
    helpers.tick(plan("brief"))
    assert not around.alive()
    monkeypatch.setattr(helper_process, "monotonic", lambda: helpers.due[0] if helpers.due else 0.0)
    helpers.tick(plan("brief"))
    assert around.begun() == "brief\n"
    assert helpers.reaped(around.ended())
