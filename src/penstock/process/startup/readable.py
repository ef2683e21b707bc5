"""Whether the workers' user could read this program where it is installed.

It need not: all that is needed while it serves is imported before (`process/imports/early.py`, `late.py`). Who
looks for the reason of something else should know that.
"""

from __future__ import annotations

import os
import sys

import penstock
from penstock.config.source import shown
from penstock.observe.errorlog import NOTICE, fallback
from penstock.process.children import run_in_child
from penstock.process.startup.launch import PROGRAM
from penstock.process.startup.privileges import User, become

_FIRST = 2
"""The exit code for the first file: 1 is a child that failed in another way."""


def warn_unreadable(user: User | None) -> None:
    """Say so where that user can not read it, in the log and at the console."""
    path = None if user is None or user.uid == 0 else unreadable(user)
    if user is None or path is None:
        return
    words = f'user "{user.name}" can not read "{path}": no harm: the master has loaded everything for the workers'
    log = fallback()
    if not log.seen_on_stderr(NOTICE):
        sys.stderr.write(f"{PROGRAM}: [notice] {shown(words)}\n")
    log.write(NOTICE, words)


def unreadable(user: User) -> str | None:
    """Find the first file of this program, and of Python, that this user can not open: a child tries."""
    paths = [found for found in (penstock.__file__, os.__file__) if found]

    def attempt() -> int:
        become(user)
        for number, path in enumerate(paths, _FIRST):
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return number
        return 0

    number = run_in_child(attempt) - _FIRST
    return paths[number] if 0 <= number < len(paths) else None
