"""Clocks and memory of processes other than this one, from the kernel (proc(5), Linux only)."""

import os
import time
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def started_at(pid: int) -> int | None:
    """Ticks since boot: with the number it tells a process from a later one of the same number."""
    try:
        return int(_stat(pid)[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu(pids: list[int]) -> float:
    """Seconds computed by these processes and their ended children, the kernel's work for them included."""
    return sum(_own_cpu(pid) + _childrens_cpu(pid) for pid in pids)


def user_and_kernel(pids: list[int]) -> tuple[float, float]:
    """The seconds of `cpu`, apart, in ticks of the kernel's clock."""
    fields = [_stat(pid) for pid in pids]
    return sum(int(f[11]) + int(f[13]) for f in fields) * _TICK, sum(int(f[12]) + int(f[14]) for f in fields) * _TICK


def private_memory(pids: list[int]) -> int:
    """Bytes that only these processes hold; PermissionError where the kernel does not let us look."""
    return sum(_sum_of(pid, ("Private_Clean:", "Private_Dirty:")) for pid in pids)


def resident_memory(pid: int) -> int:
    """Bytes, shared pages included."""
    return _sum_of(pid, ("Rss:",))


def share_of_memory(pid: int) -> int:
    """Bytes, each shared page divided by the number of processes that have it."""
    return _sum_of(pid, ("Pss:",))


def machine_busy() -> float:
    """Seconds that all processors together have computed, whoever for; stolen time counts as well."""
    user, nice, system, _idle, _wait, irq, softirq, stolen = (
        int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + stolen) * _TICK


def _own_cpu(pid: int) -> float:
    # The process's CPU clock counts what utime and stime of /proc/PID/stat count, but in nanoseconds instead
    # of ticks. The number of the clock is the kernel's ABI: clock_getcpuclockid(3) computes it so.
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        fields = _stat(pid)
        return (int(fields[11]) + int(fields[12])) * _TICK


def _childrens_cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) * _TICK


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from its third field on; the second is a name, which may hold blanks and parentheses."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _sum_of(pid: int, names: tuple[str, ...]) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(names))
