"""A configuration run in the foreground, until Ctrl-C: the first lets tunnels say goodbye, the second ends them.

The proxy is a child in a session of its own, so that Ctrl-C at the terminal reaches this process alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from penstock.process.children import exit_code, has_ended
from penstock.process.startup.launch import Launch

READY_WITHIN = 15.0
GOODBYE = 3
"""Seconds that tunnels have after the first Ctrl-C."""

_DEATH = 1  # PR_SET_PDEATHSIG


def run_in_foreground(text: str, ready: Callable[[], None]) -> int:
    """Run the configuration `text` (its main level gets daemon, pid and the like added); `ready` is called once it
    serves. The exit code: 0 after a signal."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="penstock-"))
    except OSError as error:
        words = f"no folder for temporary files can be written to ({error.strerror or error})"
        sys.stderr.write(f"penstock proxy: {words}: name one with TMPDIR, or mount one (docker run --tmpfs /tmp)\n")
        return 1
    try:
        _share_with_workers(folder)
        _append()
        path = folder / "nginx.conf"
        path.write_text(text, "latin-1")
        return _Child(folder, path).run(ready)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _share_with_workers(folder: Path) -> None:
    """Workers of a root master are somebody else. They keep bodies in folders of theirs within it, and change nothing
    beside."""
    if not os.geteuid():
        folder.chmod(0o711)


def _append() -> None:
    """Where output goes to a file, several processes write into it: each at its end."""
    import fcntl

    for number in (1, 2):
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        fcntl.fcntl(number, fcntl.F_SETFL, flags | os.O_APPEND)


class _Child:
    """The proxy's process, as its parent sees it."""

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder = folder
        self._pid_file = folder / "pid"
        self._asked = 0
        self._launch = Launch(
            prefix=f"{os.fsencode(folder).decode('latin-1')}/",
            path=os.fsencode(path).decode("latin-1"),
            error_log="",
            globals_text=f"daemon off; worker_shutdown_timeout {GOODBYE}s;",
            pid_file=os.fsencode(self._pid_file).decode("latin-1"),
        )
        self._pid = 0

    def run(self, ready: Callable[[], None]) -> int:
        sys.stdout.flush()
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            self._become_proxy(parent)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        if self._until_ready():
            ready()
        code = exit_code(self._pid)
        return 0 if self._asked and code in (0, -signal.SIGTERM) else abs(code)

    def _become_proxy(self, parent: int) -> None:
        code = 1
        try:
            os.setsid()
            _die_with(parent)
            from penstock.process.start import start

            code = start(self._launch)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            if os.getppid() != parent:
                # It was killed, and could not clear up.
                shutil.rmtree(self._folder, ignore_errors=True)
            os._exit(code)

    def _until_ready(self) -> bool:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if self._pid_file.exists() and self._pid_file.read_bytes().strip():
                return True
            if has_ended(self._pid):
                return False
            time.sleep(0.02)
        return False

    def _stop(self, number: int, frame: object) -> None:
        self._asked += 1
        graceful = number == signal.SIGINT and self._asked == 1
        if graceful:
            sys.stdout.write("\nEnding; Ctrl-C again ends what is open at once.\n")
            sys.stdout.flush()
        try:
            os.kill(self._pid, signal.SIGQUIT if graceful else signal.SIGTERM)
        except ProcessLookupError:
            pass


def _die_with(parent: int) -> None:
    """Have the kernel send SIGTERM when the parent is gone, however it went."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_DEATH, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
