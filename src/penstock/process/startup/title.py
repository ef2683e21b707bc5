"""How the processes call themselves in `ps`: in place of their arguments, where there is room (proc_pid_cmdline(5)).

The memory behind the arguments holds the environment, which C libraries still read: it is left alone.
"""

from __future__ import annotations

import os

from penstock.process.startup.launch import PROGRAM

_START = 45
"""The field arg_start of /proc/PID/stat, counted from behind the process's name; arg_end follows."""

_memory: tuple[int, int] = (0, -1)
"""A process, and a descriptor of its memory: who has become another user may not open it any more."""


def set_title(role: str) -> None:
    """Set the title that `ps` shows, `penstock: worker process` and the like. Where the system does not let us, nothing
    but the name is lost."""
    global _memory
    text = f"{PROGRAM}: {role}".encode("latin-1", "replace")
    try:
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[_START]), int(fields[_START + 1])
        if _memory[0] != os.getpid():
            if _memory[1] >= 0:
                os.close(_memory[1])
            _memory = os.getpid(), os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
        room = end - start
        if start and room > 0:
            os.pwrite(_memory[1], text[: room - 1].ljust(room, b"\0"), start)
    except (OSError, IndexError, ValueError):
        return
