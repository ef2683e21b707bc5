"""Memory that processes share, and the locks on it: the one mechanism under every table that workers have in common.

A lock belongs to a process (POSIX record locks). The kernel gives it back when that process dies, however that came.
"""

from __future__ import annotations

import mmap
import os
from errno import EACCES, EAGAIN
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from typing import TYPE_CHECKING

from penstock.config.inputs import new_memory

if TYPE_CHECKING:
    from types import TracebackType


class SharedMemory:
    """`size` bytes, all zero, shared with every process that is forked from now on, and with those that load the record
    of the plan it was made for. `beyond` bytes more are in the file only.

    A single byte can be locked, whether it is used or not: `lock_byte` and `unlock_byte`.
    """

    __slots__ = ("_fd", "memory", "name")

    def __init__(self, name: str, size: int, beyond: int = 0) -> None:
        self.name = name
        self._fd = new_memory(f"{type(self).__name__.lower()} {name}", size + beyond)
        self.memory = mmap.mmap(self._fd, size)

    @property
    def path(self) -> str:
        """Return a name by which this process can open it, while this object is there."""
        return f"/proc/self/fd/{self._fd}"

    def lock_byte(self, number: int, *, wait: bool) -> bool:
        """Lock a byte for this process. Return False if another process has it and nobody is to wait."""
        try:
            lockf(self._fd, LOCK_EX if wait else LOCK_EX | LOCK_NB, 1, number)
        except OSError as error:
            if error.errno in (EACCES, EAGAIN):
                return False
            raise
        return True

    def unlock_byte(self, number: int) -> None:
        """Give a byte back that this process has locked."""
        lockf(self._fd, LOCK_UN, 1, number)

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)


class LockedMemory(SharedMemory):
    """Shared memory with one lock for all of it: `with memory:` holds that."""

    __slots__ = ()

    def __enter__(self) -> None:
        lockf(self._fd, LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lockf(self._fd, LOCK_UN)
