"""An answer on its way into a file: a temporary one until all of it is there (nginx: ngx_ext_rename_file)."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from penstock.upstream.exchange.temp_file import CannotKeep, TempFile, TempFolder

_COPIED = 1 << 20


class StoredFile:
    """What `Filling` fills. `access` are the bits of the file; folders that are missing get them, too, and who may read
    may enter. `modified`: seconds, None for the time of now. `makes_folders`: those that are missing. Making one raises
    `CannotKeep`."""

    __slots__ = ("_access", "_file", "_folder", "_makes_folders", "_modified", "_path", "length")

    deed = "stored"

    def __init__(
        self, folder: TempFolder, path: str, access: int, modified: int | None, *, makes_folders: bool = True
    ) -> None:
        self._folder = folder
        self._path = path
        self._access = access
        self._modified = modified
        self._makes_folders = makes_folders
        self.length = 0
        self._file = TempFile(folder, named=True)

    def append(self, data: bytes) -> None:
        """Write what comes next: all of it, or none. Raises `CannotKeep`."""
        self._file.append(data)
        self.length += len(data)

    def read(self, offset: int, count: int) -> bytes:
        """Read what has been written. Raises `CannotKeep`."""
        return self._file.read(offset, count)

    def complete(self, now: int) -> None:
        """Let it be the file: all of the answer has come. Raises `CannotKeep`, and nothing is stored then."""
        try:
            self._bring(self._path.encode("latin-1"))
        except OSError as error:
            raise CannotKeep("rename()", self._path, self._folder, error) from None
        except ValueError:  # a zero byte is in no file's name
            raise CannotKeep("rename()", self._path, self._folder, OSError(errno.EINVAL, "")) from None
        self._file.kept = True

    def give_up(self) -> None:
        """Store nothing: what has been written can still be read. Raises `CannotKeep`."""
        self._file.unname()

    def close(self) -> None:
        """Let go of the file; without a `complete` it is gone. Raises `CannotKeep`."""
        self._file.remove()

    def _bring(self, path: bytes) -> None:
        fd, source = self._file.fd, self._file.path.encode("latin-1")
        os.fchmod(fd, self._access)
        if self._modified is not None:
            os.utime(fd, (self._modified, self._modified))
        try:
            os.rename(source, path)  # noqa: PTH104  bytes
        except FileNotFoundError:
            self._make_folders_to(path)
            os.rename(source, path)  # noqa: PTH104  bytes
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(path)

    def _make_folders_to(self, path: bytes) -> None:
        """Make them, unless they have to be there: a file without one is not found then."""
        if not self._makes_folders:
            return
        access = self._access | (self._access & 0o444) >> 2
        at = path.find(b"/", 1)
        while at > 0:
            with suppress(FileExistsError):
                os.mkdir(path[:at], access)  # noqa: PTH102  bytes
            at = path.find(b"/", at + 1)

    def _copy(self, path: bytes) -> None:
        """Bring it to another file system: first beside its place, then there."""
        fd = self._file.fd
        beside = path + b".%010d" % (int.from_bytes(os.urandom(4)),)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            made = os.open(beside, flags, 0o600)
        except FileNotFoundError:
            self._make_folders_to(path)
            made = os.open(beside, flags, 0o600)
        try:
            try:
                at = 0
                while count := os.copy_file_range(fd, made, _COPIED, at):
                    at += count
                os.fchmod(made, self._access)
                if self._modified is not None:
                    os.utime(made, (self._modified, self._modified))
            finally:
                os.close(made)
            os.rename(beside, path)  # noqa: PTH104  bytes
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)  # noqa: PTH108  bytes
            raise
        os.unlink(self._file.path.encode("latin-1"))  # noqa: PTH108  bytes
