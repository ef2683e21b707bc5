"""A Redis for the proxies whose limits it counts (`penstock-sync`)."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from peer import NotInstalled

_PATIENCE = 15.0
_BASE = b"{penstock:penstock}"


class BenchRedis:
    """A redis-server that ends by `end`. Raises NotInstalled."""

    def __init__(self, port: int, directory: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise NotInstalled("redis-server is not installed (apt-get install redis-server)")
        self._port = port
        words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        words += ["--dir", str(directory)]
        self._process = subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._until(lambda: self._said(b"PING") == b"+PONG")

    def wait_until_sure(self, patience: float) -> None:
        """Wait until a worker has joined and its questions are answered with places."""
        self._until(lambda: self._said(b"EXISTS " + _BASE + b":l") == b":1", patience)
        lease = self._said(b"HGET " + _BASE + b" sure").splitlines()[-1]
        self._until(lambda: self._now() > float(lease) + 50, patience)

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _now(self) -> float:
        lines = self._said(b"TIME").splitlines()
        return int(lines[2]) * 1000 + int(lines[4]) / 1000

    def _said(self, command: bytes) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 5) as sock:
                sock.sendall(command + b"\r\n")
                return sock.recv(4096).strip()
        except OSError:
            return b""

    def _until(self, condition: Callable[[], bool], patience: float = _PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise NotInstalled("the redis-server of the benchmark is not used, or does not start")
            time.sleep(0.05)
