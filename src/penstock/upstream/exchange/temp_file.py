"""Temporary files for bodies: where they are, and what to say when they can not be (nginx: ngx_file.c)."""

from __future__ import annotations

import errno
import itertools
import os
from dataclasses import dataclass

from penstock.config.os_errors import os_failure
from penstock.net.descriptors import with_room
from penstock.upstream.levels import make_folders_to, place_in

_LARGEST = 10**10
"""Names have ten digits."""


def _any_number() -> int:
    return int.from_bytes(os.urandom(8)) % _LARGEST


_numbers = itertools.count(_any_number())


@dataclass(frozen=True, slots=True)
class TempFolder:
    """A folder for temporary files, latin-1 text. `levels` are the numbers of digits that name folders within it,
    `directive` is what says all this.

    `levels` (1, 2) puts `0000000123` into `PATH/3/12/`.
    """

    path: str
    levels: tuple[int, ...] = ()
    directive: str = ""

    def place(self, number: int) -> str:
        """Return the path of a file."""
        return place_in(self.path, self.levels, f"{number:010}")


class CannotKeep(OSError):
    """Raised for a temporary file that can not be made, written or read; the text says where, why, and what to do about
    it."""

    def __init__(self, call: str, path: str, folder: TempFolder, error: OSError) -> None:
        number = error.errno or errno.EIO
        super().__init__(number, os.strerror(number))
        self._text = f"{os_failure(call, number, path)}: {_advice(number, folder)}"

    def __str__(self) -> str:
        return self._text


class TempFile:
    """A temporary file without a name, or with one when `named`. It is gone when it is closed, unless `kept`.

    All but `close` raise `CannotKeep`. What was written before stays as it was.
    """

    __slots__ = ("_folder", "_named", "fd", "kept", "path", "size")

    def __init__(self, folder: TempFolder, *, named: bool = False) -> None:
        self._folder = folder
        self._named = False
        self.kept = False
        self.size = 0
        self.fd = -1
        self.path = folder.path
        try:
            self._open()
        except OSError as error:
            raise CannotKeep("open()", self.path, folder, error) from None
        self._named = True
        if not named:
            try:
                self.unname()
            except CannotKeep:
                self.close()
                raise

    def _open(self) -> None:
        number = next(_numbers) % _LARGEST
        while True:
            self.path = self._folder.place(number)
            try:
                self.fd = _new(self.path)
            except FileNotFoundError:
                make_folders_to(self.path, self._folder.path)
                self.fd = _new(self.path)
            except FileExistsError:
                number = _any_number()  # not the next one: other workers have begun to count where this one did
                continue
            return

    def append(self, data: bytes) -> None:
        """Write at the end: all of it, or none."""
        view = memoryview(data)
        end = self.size
        try:
            while view:
                count = os.pwrite(self.fd, view, end)
                end += count
                view = view[count:]
        except OSError as error:
            raise CannotKeep("pwrite()", self.path, self._folder, error) from None
        self.size = end

    def read(self, offset: int, count: int) -> bytes:
        """Read what is there; fewer bytes only at the end."""
        try:
            return os.pread(self.fd, count, offset)
        except OSError as error:
            raise CannotKeep("pread()", self.path, self._folder, error) from None

    def restart(self) -> None:
        """Forget what was written: it has been read."""
        self.size = 0

    def close(self) -> None:
        """Close the file; one without a name is gone by that. Called again, it does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def unname(self) -> None:
        """Take its name away, unless it is `kept`: it can be read until it is closed. Raises `CannotKeep` if the name
        stays."""
        if not self._named or self.kept:
            return
        self._named = False
        try:
            os.unlink(self.path.encode("latin-1"))  # noqa: PTH108  bytes
        except FileNotFoundError:
            pass
        except OSError as error:
            raise CannotKeep("unlink()", self.path, self._folder, error) from None

    def remove(self) -> None:
        """Close it, and take a name it has away. Raises `CannotKeep` if the name stays."""
        self.close()
        self.unname()


def _new(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return with_room(lambda: os.open(path.encode("latin-1"), flags, 0o600))


def _advice(number: int, folder: TempFolder) -> str:
    elsewhere = f"name another place with {folder.directive}" if folder.directive else "name another place"
    if number in (errno.EACCES, errno.EPERM):
        return f'let user {os.geteuid()} write to "{folder.path}" and enter the folders above it, or {elsewhere}'
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"make room there, or {elsewhere}"
    if number == errno.ENOENT:
        return f'make the folder "{folder.path}", or {elsewhere}'
    if number in (errno.EMFILE, errno.ENFILE):
        return "allow more open files (worker_rlimit_nofile)"
    return elsewhere
