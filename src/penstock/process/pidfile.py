"""The file that tells others the master's process id."""

from __future__ import annotations

import os

from penstock.observe.errorlog import ALERT, EMERG, report
from penstock.process.launch import NotStarted

_MODE = 0o644


def probe_pid_file(path: str) -> None:
    """See whether the file could be written, as `-t` does: it is made, but nothing is written. Raises `NotStarted`."""
    os.close(_open(path, os.O_CREAT))


def write_pid_file(path: str) -> None:
    """Write this process's id. Raises `NotStarted`."""
    fd = _open(path, os.O_CREAT | os.O_TRUNC)
    try:
        os.write(fd, f"{os.getpid()}\n".encode())
    finally:
        os.close(fd)


def remove_pid_file(path: str) -> None:
    """Take it away; that it is gone already is worth an alert."""
    try:
        os.unlink(path.encode("latin-1"))  # noqa: PTH108  bytes
    except OSError as error:
        report(None, ALERT, f'unlink() "{path}" failed ({error.errno}: {os.strerror(error.errno or 0)})')


def old_pid_file(path: str) -> str:
    """The file that an old program's process id is in while a new one runs beside it."""
    return f"{path}.oldbin"


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path.encode("latin-1"), os.O_RDWR | os.O_CLOEXEC | flags, _MODE)
    except OSError as error:
        report(None, EMERG, f'open() "{path}" failed ({error.errno}: {os.strerror(error.errno or 0)})')
        raise NotStarted from None
