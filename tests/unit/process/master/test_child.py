"""The moment from which workers serve: who accepts says so, who dies closes the pipe, and nobody waits for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from penstock.process.master import child as module
from penstock.process.master.child import tell_begun, wait_until_begun


class Pipe:
    """A pipe whose ends are closed once each: a number that was closed before may be somebody else's by now."""

    def __init__(self) -> None:
        self._open = list(os.pipe())
        self.reading, self.writing = self._open

    def close(self, fd: int) -> None:
        self._open.remove(fd)
        os.close(fd)

    def close_all(self) -> None:
        for fd in list(self._open):
            self.close(fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close_all()


def begin(pipe: Pipe, pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "getpid", lambda: pid)
    tell_begun(os.dup(pipe.writing))


def test_all_that_have_begun_are_known(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(pipe, 11, monkeypatch)
    begin(pipe, 12, monkeypatch)
    assert wait_until_begun(pipe.reading, 2, 10) == {11, 12}


def test_one_that_dies_is_not_waited_for(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(pipe, 11, monkeypatch)
    pipe.close(pipe.writing)
    assert wait_until_begun(pipe.reading, 2, 10) == {11}


def test_patience_ends(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(module, "monotonic", lambda: next(now))
    assert wait_until_begun(pipe.reading, 1, 3) == set()


def test_a_master_that_shall_go_does_not_wait(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sigpending", lambda: {module.SIGTERM})
    assert wait_until_begun(pipe.reading, 1, 1000) == set()


def test_a_worker_that_nobody_waits_for_goes_on(pipe: Pipe) -> None:
    pipe.close(pipe.reading)
    tell_begun(os.dup(pipe.writing))
