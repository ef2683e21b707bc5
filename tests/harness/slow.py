"""Proxies that are slow beside the tests that ask them.

With PENSTOCK_TESTS_SLOW=19 in the environment every server that a test starts, nginx or Penstock, has that niceness, 19
at most, and tests have their own. On a busy machine it does then what it does after its answer (log, count, rename a
file, close) long after a test looks, and tests that look too early fail. On an idle one nothing changes.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

SLOW = int(os.environ.get("PENSTOCK_TESTS_SLOW", "0"))


def speed_up(pid: int) -> None:
    """Let a server be as quick as others, with its workers: it is told to end, and a master kills a worker that has not
    done so soon, slow or not."""
    if SLOW:
        with suppress(OSError):
            os.setpriority(os.PRIO_PGRP, pid, 0)
            Path(f"/proc/{pid}/autogroup").write_text("0")


def slow_down(pid: int) -> None:
    """Make a process slow, and those that it will start; it is, or is about to be, the leader of a session."""
    if not SLOW:
        return
    deadline = time.monotonic() + 10
    with suppress(OSError):  # it has ended
        while os.getsid(pid) != pid and time.monotonic() < deadline:
            time.sleep(0.001)
        os.setpriority(os.PRIO_PROCESS, pid, SLOW)
        # Where sessions share the processor evenly, a niceness counts within one only.
        Path(f"/proc/{pid}/autogroup").write_text(str(SLOW))
