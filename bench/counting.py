"""What one process does between two moments: instructions and cache misses, system calls, blocks of memory.

Each is counted exactly, by a tool that sees every single one, so that no neighbour on the machine moves it.
"""

import re
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import proxies
from load import CannotBuild, LoadFailed

PATIENCE = 240
_SOURCE = Path(__file__).with_name("count_blocks.c")
_EVENTS = re.compile(r"^events: (.+)$", re.MULTILINE)
_TOTAL = re.compile(r"^(?:summary|totals): ([\d ]+)$", re.MULTILINE)
_ALL_CALLS = re.compile(r"^ *\S+ +\S+ +\S+ +(\d+) .*total$", re.MULTILINE)
"""The last line: share, seconds, microseconds a call, calls, errors."""
_SETTLING = 0.3

Run = Callable[[], int]
"""Does the work that is counted; how many transactions it was."""


class NoTool(Exception):
    """What would count is not installed; the text says what to install."""


class Instructions:
    """valgrind's callgrind, with the caches of a processor simulated: instructions and misses of the first level."""

    figures = ("instructions", "L1 misses")

    def __init__(self, directory: Path) -> None:
        if not (shutil.which("valgrind") and shutil.which("callgrind_control")):
            raise NoTool("valgrind is not installed (apt-get install valgrind)")
        self._out = directory / "callgrind"

    def command(self, program: tuple[str, ...]) -> tuple[str, ...]:
        """The program under the tool, which looks at nothing until it is told to: a start takes seconds, not minutes.
        valgrind can be told so by who started it, not by a fork of it."""
        options = ("--cache-sim=yes", "--instr-atstart=no", f"--callgrind-out-file={self._out}.%p", "--quiet")
        return ("valgrind", "--tool=callgrind", *options, *proxies.interpreted(program))

    def begin(self, pid: int) -> None:
        """Look from now on: caches warm up."""
        _control("--instr=on", pid)

    def count(self, pid: int, run: Run) -> list[float]:
        """The figures of one transaction. Raises LoadFailed."""
        _control("--zero", pid)
        transactions = run()
        _control("--dump", pid)
        dumps = sorted(self._out.parent.glob(f"{self._out.name}.{pid}.*"))
        text = dumps[0].read_text() if dumps else ""
        events, total = _EVENTS.search(text), _TOTAL.search(text)
        if events is None or total is None:
            raise LoadFailed("callgrind wrote no figures")
        counts = dict(zip(events[1].split(), map(int, total[1].split()), strict=False))
        misses = sum(counts.get(name, 0) for name in ("I1mr", "D1mr", "D1mw"))
        return [counts["Ir"] / transactions, misses / transactions]


class SystemCalls:
    """strace counts what the kernel is asked for."""

    figures = ("system calls",)

    def __init__(self, directory: Path) -> None:
        if not shutil.which("strace"):
            raise NoTool("strace is not installed (apt-get install strace)")
        self._out = directory / "strace"

    def command(self, program: tuple[str, ...]) -> tuple[str, ...]:
        return program

    def begin(self, pid: int) -> None:
        pass

    def count(self, pid: int, run: Run) -> list[float]:
        """The figure of one transaction. Raises LoadFailed."""
        strace = subprocess.Popen(
            ["strace", "-f", "-c", "-o", str(self._out), "-p", str(pid)], stderr=subprocess.PIPE, text=True
        )
        try:
            assert strace.stderr is not None
            said = strace.stderr.readline()
            if "attached" not in said:
                raise LoadFailed(f"strace may not look at a process here: {said.strip()}")
            transactions = run()
        finally:
            if strace.poll() is None:
                strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=PATIENCE)
        found = _ALL_CALLS.search(self._out.read_text())
        if found is None:
            raise LoadFailed("strace wrote no figures")
        return [int(found[1]) / transactions]


class Blocks:
    """Blocks of memory that CPython asks for, by a counter in front of its allocator (`count_blocks.c`). What its free
    lists have left over is not asked for anew."""

    figures = ("blocks of memory", "bytes of them")

    def __init__(self, directory: Path) -> None:
        compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
        if compiler is None:
            raise NoTool("no C compiler (apt-get install gcc libc6-dev)")
        self._counter = directory / "count_blocks.so"
        self._figures = directory / "blocks"
        build = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._counter), str(_SOURCE)]
        done = subprocess.run(build, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuild(f"{compiler} does not compile {_SOURCE.name}:\n{done.stderr}")

    def command(self, program: tuple[str, ...]) -> tuple[str, ...]:
        """A Python program, counted; Raises NoTool for another."""
        interpreter, *script = proxies.interpreted(program)
        if not script:
            raise NoTool("it is no program in Python")
        under = Path(__file__).with_name("under_count_blocks.py")
        return (interpreter, str(under), str(self._counter), str(self._figures), *script)

    def begin(self, pid: int) -> None:
        pass

    def count(self, pid: int, run: Run) -> list[float]:
        """The figures of one transaction."""
        before = self._read()
        transactions = run()
        time.sleep(_SETTLING)
        return [(now - then) / transactions for now, then in zip(self._read(), before, strict=True)]

    def _read(self) -> tuple[int, ...]:
        return struct.unpack("QQ", self._figures.read_bytes()[:16])


Counter = Instructions | SystemCalls | Blocks
COUNTERS: dict[str, type[Counter]] = {"instructions": Instructions, "calls": SystemCalls, "blocks": Blocks}


def _control(what: str, pid: int) -> None:
    done = subprocess.run(
        ["callgrind_control", what, str(pid)], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode:
        raise LoadFailed(f"callgrind_control {what}: {done.stdout}{done.stderr}")
