"""`penstock proxy` as people start it: a process, what it prints, and Ctrl-C."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.binary import installed
from harness.programs import run, start
from harness.waiting import eventually

PENSTOCK = installed().command


def say(
    *arguments: str, cwd: Path | None = None, cache: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    more = {"XDG_CACHE_HOME": str(cache)} if cache else {}
    whole = {**os.environ, **more, **(environment or {})}
    return run([*PENSTOCK, *arguments], cwd=cwd, env=whole)


class Running:
    """`penstock proxy` in a process group of its own; `output` is what it has printed so far. `command` is the
    `penstock`, `user` who runs it."""

    def __init__(
        self,
        *arguments: str,
        cache: Path | None = None,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = PENSTOCK,
        user: int | None = None,
    ) -> None:
        more = {"XDG_CACHE_HOME": str(cache)} if cache else {}
        self.process = start(
            [*command, "proxy", *arguments],
            cwd=cwd,
            env={**os.environ, **more, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            session=True,
            user=user,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line.decode()

    def ready(self) -> None:
        eventually(lambda: "Ctrl-C ends it" in self.output, why=f"it says that it serves:\n{self.output}")

    def interrupt(self) -> int:
        """Ctrl-C at a terminal: to the whole process group. The exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(15)
        self._reader.join(5)
        return code


@contextmanager
def running(*arguments: str, **options: Any) -> Iterator[Running]:
    """Runs until the end of the block, then ends by Ctrl-C with code 0."""
    proxy = Running(*arguments, **options)
    try:
        proxy.ready()
        yield proxy
        if proxy.process.poll() is None:
            assert proxy.interrupt() == 0, proxy.output
        assert "Traceback" not in proxy.output
    finally:
        if proxy.process.poll() is None:
            proxy.process.kill()
            proxy.process.wait()
