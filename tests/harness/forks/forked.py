"""The side of the tests of `server.py`: a server of forks, and the processes that come of it."""

import json
import os
import re
import resource
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_PROGRAM = Path(__file__).with_name("server.py")
_FILLER = "room for the titles of processes ".ljust(2000, ".")
_LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
_PATIENCE = 60.0
"""Seconds for a process to begin. The first one waits for the imports."""


class ServerHasEnded(Exception):
    """There is nobody who forks any more."""


class ForkServer:
    """Becomes scripts of this Python that use Penstock. Children see nothing of `environment`, its own variables.
    `commands`: they may use what only commands have, without importing it first."""

    def __init__(self, environment: Mapping[str, str], *, commands: bool = False) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(theirs.fileno()), "all" if commands else "", _FILLER],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(
        self,
        script: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        cwd: str | os.PathLike[str],
        descriptors: Mapping[int, int],
        *,
        session: bool,
    ) -> tuple[int, socket.socket]:
        """The process id of a child, and where its end will be told. `descriptors` are those of ours by the numbers
        that they get. Raises `ServerHasEnded`, and `OSError` where `cwd` is no folder."""
        wanted = {
            "script": script,
            "arguments": list(arguments),
            "environment": dict(environment),
            "session": session,
            "umask": _umask(),
            "limits": [(number, resource.getrlimit(number)) for number in _LIMITS],
            "numbers": list(descriptors),
        }
        folder = os.open(cwd, os.O_PATH | os.O_DIRECTORY)
        told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                handed = [theirs.fileno(), folder, *descriptors.values()]
                socket.send_fds(self._socket, [json.dumps(wanted).encode()], handed)
            told.settimeout(_PATIENCE)
            text = told.recv(64)
            if not text:
                raise ServerHasEnded
            told.settimeout(None)
        except BaseException as error:
            told.close()
            if isinstance(error, BrokenPipeError | ConnectionResetError):
                raise ServerHasEnded from None
            raise
        finally:
            os.close(folder)
        return int(text), told

    def close(self) -> None:
        """End it. What it has forked goes on."""
        self._socket.close()
        self._process.wait()


def _umask() -> int:
    """The umask of this process, which can not be asked for without being changed."""
    found = re.search(r"^Umask:\s*(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1], 8)


class Forked:
    """One of them, to be used as a `subprocess.Popen`. `told` is where its end is told."""

    def __init__(
        self,
        args: Sequence[str],
        pid: int,
        told: socket.socket,
        stdin: IO[bytes] | None,
        stdout: IO[bytes] | None,
        stderr: IO[bytes] | None,
    ) -> None:
        self.args = list(args)
        self.pid = pid
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._told = told
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """How it ended, None while it runs."""
        with self._lock:
            if self.returncode is None:
                try:
                    text = self._told.recv(64, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return None
                if not text:
                    raise ServerHasEnded(f"nobody knows what becomes of process {self.pid}")
                self.returncode = int(text)
                # It is a zombie, so that its number is nobody else's, until the server has heard this and hangs up.
                self._told.shutdown(socket.SHUT_WR)
                self._told.recv(64)
                self._told.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""
        until = None if timeout is None else time.monotonic() + timeout
        if (known := self.poll()) is not None:
            return known
        asked = select.poll()
        asked.register(self._told, select.POLLIN)
        while (code := self.poll()) is None:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout)
            asked.poll(None if left is None else left * 1000)
        return code

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Write `input`, read everything, wait for the end. Raises `subprocess.TimeoutExpired`."""
        until = None if timeout is None else time.monotonic() + timeout
        found: dict[IO[bytes], bytearray] = {stream: bytearray() for stream in (self.stdout, self.stderr) if stream}
        rest = memoryview(input or b"")
        with selectors.PollSelector() as selector:
            for stream in found:
                selector.register(stream, selectors.EVENT_READ)
            if self.stdin is not None:
                os.set_blocking(self.stdin.fileno(), False)
                selector.register(self.stdin, selectors.EVENT_WRITE)
            while selector.get_map():
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    assert timeout is not None
                    raise subprocess.TimeoutExpired(self.args, timeout)
                for key, _ in selector.select(left):
                    if key.fileobj is self.stdin:
                        try:
                            rest = rest[os.write(key.fd, rest) :] if rest else rest
                        except BrokenPipeError:
                            rest = rest[:0]
                        if rest:
                            continue
                    elif piece := os.read(key.fd, 65536):
                        found[key.fileobj] += piece  # type: ignore[index]
                        continue
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
        self.wait(None if until is None else max(0.0, until - time.monotonic()))
        out, err = (bytes(found[stream]) if stream else b"" for stream in (self.stdout, self.stderr))
        return out, err

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()
