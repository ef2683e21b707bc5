"""A redis-server of the test's own, that can be stopped, emptied, killed and started again at the same port."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from harness.ports import free_port
from harness.waiting import eventually


def redis_program() -> str:
    """The program; `REDIS_SERVER` names another one, such as that of Valkey. Skips where there is none."""
    program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("there is no redis-server here")
    return program


class RedisServer:
    """Runs until the `with` block ends. `more` are options of its command line."""

    def __init__(self, *more: str) -> None:
        self._program = redis_program()
        self._more = more
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="penstock-test-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [self._program, *fixed, "--dir", str(self.directory), *self._more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._answers, why="redis-server answers")
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as sock:
                sock.sendall(b"PING\r\n")
                return sock.recv(16)[:1] in (b"+", b"-")
        except OSError:
            return False

    def client(self, **more: Any) -> Any:
        """A client of the library, for what a test wants to see or do."""
        import redis

        return redis.Redis(host="127.0.0.1", port=self.port, **more)

    @property
    def address(self) -> str:
        """As `fleet` takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def pause(self) -> None:
        """Let it answer nothing more, without closing anything."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on where it was."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
