"""Processes that the master keeps beside its workers, for work that is nobody's request: one each, while the plan wants
it. A helper ends with the master, whatever ended that."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import NoReturn, Protocol

from penstock.config.os_errors import os_failure
from penstock.observe.errorlog import ALERT, report
from penstock.plan.plan import Plan
from penstock.process.startup.title import set_title

AGAIN = 30.0
"""Seconds until a process that has ended by itself is started again."""


class HelperWork(Protocol):
    """What a helper process is for. `name` is what it is called in the log and the list of processes; `missed` says
    what it comes to where there is none, as without a master."""

    @property
    def name(self) -> str: ...

    @property
    def missed(self) -> str: ...

    def wanted(self, plan: Plan) -> object:
        """Return what the plan wants of it, to be compared with what another one wants; None for nothing."""

    def do(self, plan: Plan, life: int) -> None:
        """Do it, in a process of its own, until the other end of the pipe `life` is closed."""


class HelperProcess:
    """`life` is a pipe whose other end the master holds; `let_go` is called in the new process, to give up what is the
    master's alone."""

    def __init__(self, work: HelperWork, life: int, let_go: Callable[[], None]) -> None:
        self._work = work
        self._life = life
        self._let_go = let_go
        self._wanted: object = None
        self._pid = 0
        self._stopped: set[int] = set()
        self.due: float | None = None
        """When it is to be started again, a monotonic moment."""

    def go_by(self, plan: Plan) -> None:
        """Have the process that this plan wants: another one, or none, where it wants something else."""
        wanted = self._work.wanted(plan)
        if wanted == self._wanted:
            return
        self.stop()
        self._wanted = wanted
        self._start(plan)

    def tick(self, plan: Plan) -> None:
        """Start it again, if it is time."""
        if self.due is not None and monotonic() >= self.due:
            self._start(plan)

    def stop(self) -> None:
        """End it; nothing that it has done is lost but the try under way."""
        self._wanted = self.due = None
        if self._pid:
            self._stopped.add(self._pid)
            with suppress(OSError):
                os.kill(self._pid, signal.SIGTERM)
            self._pid = 0

    def reaped(self, pid: int) -> bool:
        """Return whether a process that has ended was this one. It is started again after a while, unless it was told
        to end."""
        if pid in self._stopped:
            self._stopped.remove(pid)
            return True
        if pid != self._pid:
            return False
        self._pid = 0
        self.due = monotonic() + AGAIN
        report(None, ALERT, f"the {self._work.name} {pid} has ended; another one begins in {AGAIN:.0f}s")
        return True

    def _start(self, plan: Plan) -> None:
        self.due = None
        if self._wanted is None:
            return
        try:
            pid = os.fork()
        except OSError as error:
            report(None, ALERT, os_failure("fork()", error, doing=f'while spawning "{self._work.name}"'))
            self.due = monotonic() + AGAIN
            return
        if not pid:
            self._become(plan)
        self._pid = pid

    def _become(self, plan: Plan) -> NoReturn:
        """The rest of this process's life. Nothing of the master's may run after it, so it does not return."""
        code = 1
        try:
            self._let_go()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGIO):
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            set_title(self._work.name)
            self._work.do(plan, self._life)
            code = 0
        except BaseException as error:
            report(None, ALERT, f"{self._work.name}: {type(error).__name__}: {error}")
        finally:
            os._exit(code)


class Helpers:
    """All helper processes of a master."""

    def __init__(self, works: Sequence[HelperWork], life: int, let_go: Callable[[], None]) -> None:
        self._each = [HelperProcess(work, life, let_go) for work in works]

    def go_by(self, plan: Plan) -> None:
        """Have the processes that this plan wants."""
        for each in self._each:
            each.go_by(plan)

    def tick(self, plan: Plan) -> None:
        """Start those again whose time it is."""
        for each in self._each:
            each.tick(plan)

    def stop(self) -> None:
        """End them."""
        for each in self._each:
            each.stop()

    def reaped(self, pid: int) -> bool:
        """Return whether a process that has ended was one of them."""
        return any(each.reaped(pid) for each in self._each)

    @property
    def due(self) -> list[float]:
        """Return the moments at which one is to be started again."""
        return [each.due for each in self._each if each.due is not None]
