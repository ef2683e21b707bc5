"""What /proc says of a process; one that has gone meanwhile has nothing."""

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> set[int]:
    """Process ids of its children."""
    return {int(each) for each in _read(pid, f"task/{pid}/children").split()}


def gone(pid: int) -> bool:
    """Whether it has ended, reaped or not."""
    state = _read(pid, "stat").rpartition(")")[2]
    return not state or "Z" in state


def resident(*pids: int) -> int:
    """Bytes of memory they hold together."""
    return sum(int(statm.split()[1]) * _PAGE for pid in pids if (statm := _read(pid, "statm")))


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
