"""loadgen: compiled on the spot, as backend and as client."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

SOURCE = Path(__file__).with_name("loadgen.c")


class CannotBuild(Exception):
    """No compiler, or it refused; the message says what to do."""


class LoadFailed(Exception):
    """A client met what it must not meet (see loadgen.c) or the proxy stalled."""


@dataclass(frozen=True, slots=True)
class Loadgen:
    """How to start the compiled program, and whether it was built with OpenSSL."""

    command: tuple[str, ...]
    tls: bool


def build(directory: Path, placement: tuple[str, ...] = ()) -> Loadgen:
    """Compile into `directory`, with TLS where OpenSSL's headers are present.

    `placement` is a command to start it by. Raises CannotBuild.
    """
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise CannotBuild("no C compiler; on Debian: apt-get install gcc libc6-dev libssl-dev")
    path = directory / "loadgen"
    command = [compiler, "-O3", "-o", str(path), str(SOURCE)]
    with_tls = subprocess.run([*command, "-DWITH_TLS", "-lssl", "-lcrypto"], capture_output=True, check=False)
    if with_tls.returncode == 0:
        return Loadgen((*placement, str(path)), tls=True)
    without = subprocess.run(command, capture_output=True, text=True, check=False)
    if without.returncode != 0:
        raise CannotBuild(f"{compiler} does not compile {SOURCE.name}:\n{without.stderr}")
    return Loadgen((*placement, str(path)), tls=False)


class Backend:
    """The echo server behind the proxies; `port` is where it listens, over TLS with a `certificate` (and its key)."""

    def __init__(self, loadgen: Loadgen, certificate: str = "") -> None:
        self._command = [*loadgen.command, "backend", *(("--certificate", certificate) if certificate else ())]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stdout is not None
        self.port: int = json.loads(self._process.stdout.readline())["port"]
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def behind(stack: ExitStack, loadgen: Loadgen, values: Mapping[str, str]) -> dict[str, Backend]:
    """Start what stands behind the proxies, until the stack ends: `backend`, and `secure` over TLS with the certificate
    among the values, if it can be had."""
    made = {"backend": Backend(loadgen)}
    if loadgen.tls:
        made["secure"] = Backend(loadgen, values["certificate_and_key"])
    return {name: stack.enter_context(each) for name, each in made.items()}


def ports_of(backends: Mapping[str, Backend]) -> dict[str, str]:
    """The ports as the configurations want them; `bulk` and `secure` are the usual backend's where it is alone."""
    usual = str(backends["backend"].port)
    return {"bulk": usual, "secure": usual, **{name: str(each.port) for name, each in backends.items()}}


@dataclass(frozen=True, slots=True)
class Result:
    """What a client measured by itself: transactions, wall and CPU seconds, latencies in microseconds; of a download
    beside them its bytes and their checksum."""

    workload: str
    count: int
    complete: bool
    seconds: float
    cpu_seconds: float
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float
    tls: str
    downloaded: int = 0
    adler32: int = 1


class Client:
    """A client that goes step by step: `ready`, `go`, and the end of the `with` block closes its connections.

    It bounds its own time (see loadgen.c), so none of the steps waits forever.
    """

    def __init__(self, loadgen: Loadgen, workload: str, port: int, **options: str | int | bool) -> None:
        self._command = [*loadgen.command, workload, "--steps", "--port", str(port)]
        for name, value in options.items():
            if value is True:
                self._command.append(f"--{name}")
            elif value is not False:
                self._command += [f"--{name}", str(value)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> None:
        """Wait until the connections are there and the warm-up is over."""
        if self._line() != "ready\n":
            raise LoadFailed(self._complaint())

    def go(self) -> Result:
        """The measured transactions."""
        self.begin()
        return self.end()

    def begin(self) -> None:
        """Start them, and do not wait."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> Result:
        """Wait for what `begin` started."""
        line = self._line()
        if not line:
            raise LoadFailed(self._complaint())
        return Result(**json.loads(line))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _complaint(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read().strip() or f"loadgen ended with status {self._process.wait()}"
