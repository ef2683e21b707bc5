"""The file that tells others the master's process id."""

from __future__ import annotations

import os
import stat
from errno import EACCES, ENOENT, EPERM, EROFS

from penstock.config.os_errors import os_failure
from penstock.observe.errorlog import ALERT, EMERG, ERROR, report
from penstock.process.startup.launch import NotStarted

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
    """Take it away; that it is gone already is worth an alert. A device (`pid /dev/null`) is nobody's to take away."""
    if not is_file(path):
        return
    try:
        os.unlink(path.encode("latin-1"))  # noqa: PTH108  bytes
    except OSError as error:
        report(None, ALERT, os_failure("unlink()", error, path))


def is_file(path: str) -> bool:
    """Return whether it is a file, or nothing, and no device or the like."""
    try:
        return stat.S_ISREG(os.lstat(path.encode("latin-1")).st_mode)
    except OSError:
        return True


def old_pid_file(path: str) -> str:
    """Return the file that an old program's process id is in while a new one runs beside it."""
    return f"{path}.oldbin"


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path.encode("latin-1"), os.O_RDWR | os.O_CLOEXEC | flags, _MODE)
    except OSError as error:
        report(None, EMERG, os_failure("open()", error, path))
        words = _advice(error.errno, path)
        if words:
            report(None, ERROR, words)
        raise NotStarted from None


def _advice(number: int | None, path: str) -> str:
    """What to do about a file that can not be opened; "" where nothing is known."""
    elsewhere = 'name another place: pid FILE; in the configuration, -g "pid FILE;", or -p FOLDER for logs and pid file'
    folder = path.rpartition("/")[0]
    if number == ENOENT and folder:
        return f'make the folder "{folder}", or {elsewhere}'
    return f"this user can not write to it: {elsewhere}" if number in (EACCES, EPERM, EROFS) else ""
