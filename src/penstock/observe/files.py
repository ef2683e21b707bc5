"""Log files: opened by the master before privileges drop, kept open across `fork`, reopened on demand.

A line is one `write` to a descriptor opened with O_APPEND, so that lines of several workers do not mix.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from errno import EACCES, ENOSPC, ENXIO
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING

from penstock.config.inputs import gathered
from penstock.config.os_errors import os_failure
from penstock.net.descriptors import with_room

if TYPE_CHECKING:
    from penstock.net.timers import Alarm, Timers

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}
_MOST_LINKS = 8
_FULL_SECONDS = 1.0
_REPEAT_SECONDS = 60.0


class CannotOpen(Exception):
    """Raised for a log file that can not be opened; the text is nginx's, `errno` the system's number."""

    def __init__(self, path: str, error: OSError, call: str = "open()") -> None:
        self.path = path
        self.errno = error.errno or 0
        super().__init__(os_failure(call, self.errno, path))


def open_to_append(path: str) -> int:
    """Open the file, made if it does not exist, and return its descriptor. `path` is latin-1 text; raises `OSError`.

    Under a service manager the standard output is a socket, and in a container it may be somebody else's pipe: neither
    can be opened by its name, and both can be written to. An image links access.log to it.
    """
    try:
        return with_room(lambda: os.open(path.encode("latin-1"), _FLAGS, 0o644))
    except OSError as error:
        standard = _standard(path)
        if error.errno not in (ENXIO, EACCES) or standard is None:
            raise
        return os.dup(standard)


def _standard(path: str) -> int | None:
    """Return the descriptor that a name stands for, or a link to it."""
    for _ in range(_MOST_LINKS):
        if path in _STANDARD:
            return _STANDARD[path]
        try:
            target = os.readlink(path.encode("latin-1")).decode("latin-1")  # noqa: PTH115  bytes
        except OSError:
            return None
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118
    return None


class Buffer:
    """The parameters of lines that wait to be written together.

    `size` is in bytes, `flush` the most seconds a line waits (0: until the buffer is full), `gzip` the level of
    compression (0: none).
    """

    __slots__ = ("alarm", "flush", "gzip", "held", "lines", "size")

    def __init__(self, size: int, flush: float, gzip: int) -> None:
        self.size = size
        self.flush = flush
        self.gzip = gzip
        if gzip:
            import_module("gzip")  # now: workers may not be able to read it
        self.lines: list[bytes] = []
        self.held = 0
        self.alarm: Alarm | None = None

    def same(self, other: Buffer) -> bool:
        """Return whether both were asked for with the same parameters."""
        return (self.size, self.flush, self.gzip) == (other.size, other.flush, other.gzip)


class SharedFile:
    """An open file, closed with the last who has it: the log files of one path in several plans share it, so that a
    tunnel of a plan that has been replaced goes on logging where everybody does."""

    __slots__ = ("fd",)

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.fd >= 0:
            close(self.fd)


class LogFile:
    """A file that lines are appended to. `fd` is -1 while it is not open."""

    __slots__ = ("__weakref__", "_complained", "_full", "_opened", "_target", "buffer", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        # A worker may change its directory (working_directory) and still be asked to reopen.
        here = "" if path.startswith("/") else gathered("folder", "", os.getcwd)
        self._target = f"{here}/{path}" if here else path
        self._opened = SharedFile()
        self.buffer: Buffer | None = None
        self._full = 0.0
        self._complained = -_REPEAT_SECONDS

    @property
    def fd(self) -> int:
        """Return the descriptor that is written to."""
        return self._opened.fd

    @fd.setter
    def fd(self, fd: int) -> None:
        """Go on in this one, which is ours from now on, together with all who share the file."""
        opened = self._opened
        before, opened.fd = opened.fd, fd
        if before >= 0:
            os.close(before)

    def replace(self, before: LogFile, fd: int) -> None:
        """Take the place of a log of the same path in a plan that is replaced; `fd` is the file as it was opened for
        the new plan."""
        self._opened = before._opened
        if before.fd >= 0 and os.path.samestat(os.fstat(before.fd), os.fstat(fd)):
            os.close(fd)
        else:
            self.fd = fd
        self._full = before._full
        self._complained = before._complained

    def retire(self) -> None:
        """Write at once what is left to write: the plan it belongs to is replaced."""
        self.flush()
        if self.buffer is not None and self.buffer.alarm is not None:
            self.buffer.alarm.close()
        self.buffer = None

    def open(self) -> None:
        """Open the file. Raises `CannotOpen`."""
        try:
            self.fd = open_to_append(self._target)
        except OSError as error:
            raise CannotOpen(self.path, error) from None

    def reopen(self, owner: int | None) -> None:
        """Go on in the file that has the name now, given to the user `owner`. Raises `CannotOpen`, and stays where it
        was."""
        self.flush()
        call = "open()"
        try:
            fd = open_to_append(self._target)
        except OSError as error:
            raise CannotOpen(self.path, error) from None
        if owner is not None:
            try:
                call = "chown()"
                found = os.fstat(fd)
                if found.st_uid != owner:
                    os.fchown(fd, owner, -1)
                call = "chmod()"
                needed = stat.S_IRUSR | stat.S_IWUSR
                if found.st_mode & needed != needed:
                    os.fchmod(fd, stat.S_IMODE(found.st_mode) | needed)
            except OSError as error:
                os.close(fd)
                raise CannotOpen(self.path, error, call) from None
        self.fd = fd

    def close(self) -> None:
        """Write what a buffer holds, and nothing more. Who shares the file goes on."""
        self.flush()
        self._opened = SharedFile()

    def writer(self) -> Callable[[bytes], None]:
        """Return what appends a line, for who does that often: `line`, or what it comes to without a buffer. There is
        none later, where there is none."""
        return self._write if self.buffer is None else self.line

    def line(self, data: bytes) -> None:
        """Append a line, at once or by way of the buffer."""
        buffer = self.buffer
        if buffer is None:
            self._write(data)
            return
        if buffer.held + len(data) > buffer.size:
            self.flush()
            if len(data) > buffer.size:
                self._write(_compressed(data, buffer.gzip))
                return
        if not buffer.held and buffer.alarm is not None:
            buffer.alarm.set(buffer.flush)
        buffer.lines.append(data)
        buffer.held += len(data)

    def flush(self) -> None:
        """Write what the buffer holds."""
        buffer = self.buffer
        if buffer is None or not buffer.held:
            return
        data = b"".join(buffer.lines)
        buffer.lines.clear()
        buffer.held = 0
        if buffer.alarm is not None:
            buffer.alarm.clear()
        self._write(_compressed(data, buffer.gzip))

    def put(self, data: bytes) -> int:
        """Write once, and return how much of it was taken. Raises `OSError`. A full disk is left alone for a second."""
        if self._full and monotonic() - self._full < _FULL_SECONDS:
            return len(data)
        try:
            return os.write(self._opened.fd, data)
        except OSError as error:
            if error.errno == ENOSPC:
                self._full = monotonic()
            raise

    def _write(self, data: bytes) -> None:
        try:
            written = self.put(data) if self._full else os.write(self._opened.fd, data)
        except OSError as error:
            if error.errno == ENOSPC:
                self._full = monotonic()
            self._complain(os_failure("write() to", error, self.path))
            return
        if written != len(data):
            self._complain(f'write() to "{self.path}" was incomplete: {written} of {len(data)}')

    def _complain(self, words: str) -> None:
        now = monotonic()
        if now - self._complained < _REPEAT_SECONDS:
            return
        self._complained = now
        from penstock.observe.errorlog import ALERT, report

        report(None, ALERT, words)

    def __repr__(self) -> str:
        return f"<log file {self.path!r}>"


def _compressed(data: bytes, level: int) -> bytes:
    if not level:
        return data
    from gzip import compress

    return compress(data, level, mtime=0)


class LogFiles:
    """The log files of one configuration, each once."""

    __slots__ = ("_files",)

    def __init__(self) -> None:
        self._files: dict[str, LogFile] = {}

    def add(self, path: str) -> LogFile:
        """Return the file of that name, to be opened with the others."""
        found = self._files.get(path)
        if found is None:
            found = self._files[path] = LogFile(path)
        return found

    def find(self, path: str) -> LogFile | None:
        """Find the file of that name, if it is open."""
        found = self._files.get(path)
        return found if found is not None and found.fd >= 0 else None

    def adopt(self, path: str, fd: int) -> LogFile:
        """Return the file of that name; if it is not open, by a descriptor that another process had of it."""
        file = self.add(path)
        if file.fd < 0:
            file.fd = fd
        else:
            os.close(fd)
        return file

    def replace(self, before: LogFiles, descriptors: dict[str, int], older: Iterable[LogFile] = ()) -> None:
        """Take the place of the files of a plan that is replaced; `descriptors` are of every file here, by path.
        `older` are files of plans from before that, which somebody still writes to. Raises `KeyError` where a
        descriptor is missing."""
        others = {file.path: file for file in older}
        for file in self:
            fd = descriptors.pop(file.path)
            known = before._files.get(file.path) or others.get(file.path)
            if known is None:
                file.fd = fd
            else:
                file.replace(known, fd)
        for file in before:
            file.retire()

    def without(self, others: LogFiles) -> list[LogFile]:
        """Return those whose path is none of the others'."""
        return [file for file in self if file.path not in others._files]

    def open(self) -> None:
        """Open what is not open yet. Raises `CannotOpen` at the first that can not be; those before it are closed."""
        opened = []
        try:
            for file in self:
                if file.fd < 0:
                    file.open()
                    opened.append(file)
        except CannotOpen:
            for file in opened:
                file.close()
            raise

    def reopen(self, owner: int | None = None) -> list[CannotOpen]:
        """Go on in the files that have the names now (after a rotation), and return what could not be opened."""
        failed = []
        for file in self:
            try:
                file.reopen(owner)
            except CannotOpen as error:
                failed.append(error)
        return failed

    def keep_time(self, timers: Timers) -> None:
        """Let the timers of a loop flush the buffers that ask for it."""
        from penstock.net.timers import Alarm

        for file in self:
            buffer = file.buffer
            if buffer is not None and buffer.flush:
                buffer.alarm = Alarm(timers, file.flush)

    def flush(self) -> None:
        for file in self:
            file.flush()

    def close(self) -> None:
        for file in self:
            file.close()

    def __iter__(self) -> Iterator[LogFile]:
        return iter(self._files.values())
