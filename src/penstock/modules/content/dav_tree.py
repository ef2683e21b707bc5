"""Files and folders that are copied and removed for DAV. No link is followed within a folder, and no file is ever half
there under its name.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from penstock.config.os_errors import os_failure

Say = Callable[[str], None]
_PIECE = 1 << 20


class DavFailed(Exception):
    """Raised for a request that is not carried out: the status, and what the log says ("" for nothing more)."""

    def __init__(self, status: int, level: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.level = level
        self.words = words


def copy_file(source: str, path: str) -> None:
    """Copy a file with its rights and its time; it is there as a whole, or as it was. Raises `OSError`."""
    fd = os.open(source.encode("latin-1"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        beside = path.encode("latin-1") + b".%010d" % int.from_bytes(os.urandom(4))
        made = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                while piece := os.read(fd, _PIECE):
                    view = memoryview(piece)
                    while view:
                        view = view[os.write(made, view) :]
                os.fchmod(made, stat.S_IMODE(status.st_mode))
                os.utime(made, (status.st_mtime, status.st_mtime))
            finally:
                os.close(made)
            os.rename(beside, path.encode("latin-1"))  # noqa: PTH104  bytes
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)  # noqa: PTH108  bytes
            raise
    finally:
        os.close(fd)


def copy_tree(source: str, path: str, say: Say) -> bool:
    """Copy what is in a folder to another one that is there. Return whether all of it could be; `say` has the others.

    As in nginx, links and what is neither file nor folder stay behind.
    """
    whole = True
    waiting = [(source, path)]
    times = []
    while waiting:
        from_, to = waiting.pop()
        times.append((to, os.stat(from_.encode("latin-1")).st_mtime))
        with os.scandir(from_.encode("latin-1")) as inside:
            found = [(each.name.decode("latin-1"), each.is_dir(follow_symlinks=False), each) for each in inside]
        for name, folder, each in found:
            old, new = f"{from_}/{name}", f"{to}/{name}"
            try:
                if folder:
                    os.mkdir(new.encode("latin-1"), stat.S_IMODE(each.stat(follow_symlinks=False).st_mode))  # noqa: PTH102
                    waiting.append((old, new))
                elif each.is_file(follow_symlinks=False):
                    copy_file(old, new)
            except OSError as error:
                whole = False
                say(os_failure("mkdir()" if folder else "open()", error, new))
    for to, modified in reversed(times):
        with suppress(OSError):
            os.utime(to.encode("latin-1"), (modified, modified))
    return whole


def remove_tree(path: str, say: Say) -> None:
    """Remove all that is in a folder; what stays is said. Raises `OSError` where the folder can not be read."""
    with os.scandir(path.encode("latin-1")) as inside:
        found = [(each.name.decode("latin-1"), each.is_dir(follow_symlinks=False)) for each in inside]
    for name, folder in found:
        inner = f"{path}/{name}"
        try:
            if folder:
                remove_tree(inner, say)
                os.rmdir(inner.encode("latin-1"))  # noqa: PTH106  bytes
            else:
                os.unlink(inner.encode("latin-1"))  # noqa: PTH108  bytes
        except OSError as error:
            say(os_failure("rmdir()" if folder else "unlink()", error, inner))
