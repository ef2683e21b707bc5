"""Programs that tests start. Penstock is forked from a process that has imported it, unless it has to be a new one.

    process = start([*penstock().command, "-p", ...], stdout=file, session=True)
    process.wait(10)
    done = run([*penstock().command, "-t", ...])          # .returncode, and .stdout and .stderr as text

Both are like `subprocess.Popen` and `subprocess.run`. What is forked (`forks/server.py`) saves the time that imports
take, most of a start. It is a process like any other, but for what only an `exec` makes anew: the memory that it takes,
its seed of hashes, the environment and, before it has a title, the arguments that /proc shows. A test about these, or
about what is imported when, asks for a `fresh` process. Where a variable differs that Python or a library reads before
anybody asks (`AT_ONCE`), it is one anyhow; and everywhere with PENSTOCK_TESTS_FRESH=1.
"""

import atexit
import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Protocol, Self

from harness.binary import installed
from harness.forks.forked import Forked, ForkServer, ServerHasEnded
from harness.slow import slow_down

AT_ONCE = re.compile(r"(?:PYTHON|LD_|LC_|LANG|MALLOC_|GLIBC_|OPENSSL_|SSL_|PENSTOCK_|TZ$)")
"""Variables that are read when a process begins, or when something is imported."""

Stream = int | IO[bytes] | None


class Program(Protocol):
    """A process that was started: what `subprocess.Popen` and `Forked` have in common."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]: ...

    def send_signal(self, sig: int) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class _Server:
    """A server of forks, of this process, made when it is first asked for. `commands`: it has imported what commands
    need. Who serves has not: it shall find missing what it would not find otherwise."""

    def __init__(self, *, commands: bool) -> None:
        self._commands = commands
        self._lock = threading.Lock()
        self._server: ForkServer | None = None
        self._variables: dict[str, str] = {}
        atexit.register(self.close)

    def for_variables(self, wanted: Mapping[str, str]) -> ForkServer | None:
        """The server, if what it forks is what a new process with these variables would be."""
        with self._lock:
            if self._server is None:
                self._variables = _at_once(os.environ)
                self._server = ForkServer(os.environ, commands=self._commands)
            return self._server if _at_once(wanted) == self._variables else None

    def close(self) -> None:
        """End it, if there is one; the next one that is asked for is new."""
        with self._lock:
            if self._server is not None:
                self._server.close()
                self._server = None


_serving, _commanded = _Server(commands=False), _Server(commands=True)


def start(
    command: Sequence[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    session: bool = False,
    user: int | None = None,
    fresh: bool = False,
) -> Program:
    """Start a program. `session`: it is the leader of a new one, as servers are. `user` runs it, and its only group has
    that number, too. `fresh`: it is a new process in any case; so it is with a `user`, who may not read what others
    can."""
    process = _start(command, cwd, env, (stdin, stdout, stderr), session, user, fresh)
    if session:
        slow_down(process.pid)
    return process


def _start(
    command: Sequence[str],
    cwd: str | os.PathLike[str] | None,
    env: Mapping[str, str] | None,
    streams: tuple[Stream, Stream, Stream],
    session: bool,
    user: int | None,
    fresh: bool,
) -> Program:
    variables = os.environ if env is None else env
    kept = _commanded if len(command) > 1 and command[1][:1].isalpha() else _serving
    server = None if fresh or user is not None or not _may_be_forked(command) else kept.for_variables(variables)
    if server is not None:
        with _Streams(*streams) as made:
            numbers = dict(enumerate(made.theirs))
            try:
                pid, told = server.fork(command[0], command[1:], variables, cwd or ".", numbers, session=session)
            except ServerHasEnded:
                # What it could not import, it has written on standard error; a new process will say it again.
                kept.close()
            else:
                return Forked(command, pid, told, *made.keep())
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        start_new_session=session,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def run(
    command: Sequence[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    input: str = "",
    timeout: float = 60.0,
    fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and take what it writes. Raises `subprocess.TimeoutExpired`."""
    pipe = subprocess.PIPE
    with start(command, cwd=cwd, env=env, stdin=pipe, stdout=pipe, stderr=pipe, fresh=fresh) as process:
        try:
            out, err = process.communicate(input.encode(), timeout)
        except BaseException:
            process.kill()
            raise
        assert process.returncode is not None
        return subprocess.CompletedProcess(command, process.returncode, out.decode(), err.decode())


def _may_be_forked(command: Sequence[str]) -> bool:
    own = installed().command
    if len(own) > 1 or command[0] != own[0] or os.environ.get("PENSTOCK_TESTS_FRESH"):
        return False
    return hasattr(os, "pidfd_open")


def _at_once(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if AT_ONCE.match(name)}


class _Streams:
    """The standard streams of a process that is to be forked: `theirs`, as descriptors, and our ends of pipes."""

    def __init__(self, *wanted: Stream) -> None:
        self.theirs: list[int] = []
        self._opened: list[int] = []
        self._ours: list[IO[bytes] | None] = []
        for number, each in enumerate(wanted):
            if each == subprocess.PIPE:
                reading, writing = os.pipe()
                theirs, ours = (reading, writing) if number == 0 else (writing, reading)
                self._opened.append(theirs)
                self._ours.append(open(ours, "wb" if number == 0 else "rb"))  # noqa: PTH123, SIM115
            else:
                self._ours.append(None)
                if each == subprocess.DEVNULL:
                    theirs = os.open(os.devnull, os.O_RDWR)
                    self._opened.append(theirs)
                elif each == subprocess.STDOUT:
                    theirs = self.theirs[1]
                elif each is None:
                    theirs = number
                else:
                    theirs = each if isinstance(each, int) else each.fileno()
            self.theirs.append(theirs)

    def keep(self) -> list[IO[bytes] | None]:
        """Our ends, which are not closed here then."""
        ours, self._ours = self._ours, []
        return ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        for fd in self._opened:
            os.close(fd)
        for stream in self._ours:
            if stream is not None:
                stream.close()
