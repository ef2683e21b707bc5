"""Children of this process: run a task in one, and reap those that have ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def run_in_child(task: Callable[[], int]) -> int:
    """Run a task in a child, and return what it returned (0 to 255): what it changes about itself goes with it.

    A task that raises is 1. A child that a signal ended gives the signal's number, negative.
    """
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = task()
        finally:
            os._exit(code)
    return exit_code(pid)


def exit_code(pid: int) -> int:
    """Wait for one child, and return its exit code; the number of the signal that ended it, negative."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def has_ended(pid: int) -> bool:
    """Return whether a child has ended. It is not reaped: `exit_code` is still to be asked."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def reap() -> Iterator[tuple[int, int]]:
    """Reap every child that has ended, without waiting: the number and the status of each."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, status
