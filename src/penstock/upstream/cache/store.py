"""A folder of kept answers: where an entry lies, how it is opened, put there and taken away (nginx:
ngx_http_file_cache).

A file comes by a rename, whole, and is never written to afterwards but for its times, which its checksum covers. What
is no good entry is a miss, and is taken away. No symbolic link is followed to a file, and a file that belongs to
somebody else is none of ours.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING

from penstock.config.os_errors import os_failure
from penstock.http.cache.entry import FIXED, BadEntry, CacheEntry, length_of, pack, unpack
from penstock.net.descriptors import with_room
from penstock.shared.cache_index import DIGEST
from penstock.upstream.levels import make_folders_to, place_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.shared.cache_index import CacheIndex
    from penstock.upstream.exchange.temp_file import TempFile, TempFolder

READ = 16384
"""Bytes of a file that are read at once: nearly always all up to the body, and often the body too."""
MOST_KNOWN = 4 << 20
"""Bytes of files that a process remembers. Each counts for `ASIDE` bytes more."""
ASIDE = 1024
ABSENT = (errno.ENOENT, errno.ENOTDIR)
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NAME = 2 * DIGEST
"""Characters of a file's name."""


class OpenEntry:
    """A kept answer and its open file; `first` are the bytes of the file that have been read already."""

    __slots__ = ("entry", "fd", "first", "size", "stamp")

    def __init__(self, fd: int, entry: CacheEntry, first: bytes, size: int, stamp: int) -> None:
        self.fd = fd
        self.entry = entry
        self.first = first
        self.size = size
        self.stamp = stamp

    def close(self) -> None:
        """Close the file. Called again, it does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class KnownFile(OpenEntry):
    """A file that was read and found good, whole with its body: nothing is open. `mark` tells whether it still is that
    file: its inode, size and time of change. `noted` is the last second of which the index knows that it was given,
    `written` what somebody has made of it."""

    __slots__ = ("key", "mark", "noted", "path", "weight", "written")

    def __init__(self, key: bytes, path: bytes, entry: CacheEntry, first: bytes, about: os.stat_result) -> None:
        super().__init__(-1, entry, first, about.st_blocks * 512, about.st_ino)
        self.key = key
        self.path = path
        self.mark = about.st_ino, about.st_size, about.st_mtime_ns
        self.weight = len(first) + ASIDE
        self.noted = 0
        self.written: object = None


@dataclass(frozen=True, slots=True)
class Stride:
    """How much is done in one go, and how long is waited then: files, seconds, seconds."""

    files: int = 100
    sleep: float = 0.05
    threshold: float = 0.2


@dataclass(slots=True)
class CacheStore:
    """One `*_cache_path`. `path` is latin-1 text, `levels` the numbers of digits that name folders within it,
    `inactive` seconds, `most` and `free` bytes (`most` None: no bound), `temporary` where files are begun: None stands
    for the module's own `*_temp_path`."""

    name: str
    path: str
    levels: tuple[int, ...] = ()
    inactive: int = 600
    most: int | None = None
    free: int = 0
    temporary: TempFolder | None = None
    manager: Stride = field(default_factory=Stride)
    loader: Stride = field(default_factory=Stride)
    shared: CacheIndex | None = None
    say: Callable[[str, str], None] = lambda level, text: None
    """Writes a line to the error log: level ("crit", "warn", ...), text."""

    known: dict[bytes, KnownFile] = field(default_factory=dict)
    """Small files that this process has read, by digest: one that has not changed is not read again."""
    weight: int = 0
    """What they take, in bytes."""

    @property
    def index(self) -> CacheIndex:
        """Return the bookkeeping; there once the configuration has been read."""
        assert self.shared is not None
        return self.shared

    def place(self, digest: bytes) -> str:
        """Return the path of a file."""
        return place_in(self.path, self.levels, digest.hex())

    def open(self, digest: bytes, key: bytes) -> OpenEntry | None:
        """Open what is kept under a key; None where that is nothing. Raises `OSError`."""
        known = self.remembered(digest, key)
        if known is not None:
            return known
        path = self.place(digest)
        try:
            fd = with_room(lambda: os.open(path.encode("latin-1"), _FLAGS))
        except OSError as error:
            if error.errno in ABSENT:
                return None
            if error.errno == errno.ELOOP:
                self._bad(path, "it is a symbolic link")
                return None
            raise
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode) or about.st_uid not in (os.geteuid(), 0):
                raise BadEntry("it is not a file of this user")
            first = os.pread(fd, READ, 0)
            total = length_of(first)
            if total > len(first):
                first += os.pread(fd, total - len(first), len(first))
            entry = unpack(first, about.st_size)
            if entry.key != key:
                raise BadEntry("it is of another key")
        except BadEntry as error:
            os.close(fd)
            self._bad(path, str(error))
            return None
        except BaseException:
            os.close(fd)
            raise
        if about.st_size <= len(first):
            self._remember(digest, KnownFile(key, path.encode("latin-1"), entry, first, about))
        return OpenEntry(fd, entry, first, about.st_blocks * 512, about.st_ino)

    def remembered(self, digest: bytes, key: bytes) -> KnownFile | None:
        """Return what this process knows of a file, if it still stands in it."""
        known = self.known.get(digest)
        if known is None:
            return None
        if known.key == key:
            try:
                about = os.lstat(known.path)
            except OSError:
                pass
            else:
                if known.mark == (about.st_ino, about.st_size, about.st_mtime_ns):
                    return known
        del self.known[digest]
        self.weight -= known.weight
        return None

    def _remember(self, digest: bytes, known: KnownFile) -> None:
        if self.weight + known.weight > MOST_KNOWN:
            self.known.clear()
            self.weight = 0
        self.known[digest] = known
        self.weight += known.weight

    def put(self, file: TempFile, digest: bytes, now: int) -> None:
        """Let a file that has been written to its end be the entry, in place of an older one. Raises `OSError`."""
        place = self.place(digest)
        path = place.encode("latin-1")
        try:
            self._bring(file, path)
        except FileNotFoundError:
            make_folders_to(place, self.path)
            self._bring(file, path)
        file.kept = True
        about = os.fstat(file.fd)
        self._push_out(self.index.add(digest, about.st_blocks * 512, about.st_ino, now))

    def renew(self, opened: OpenEntry, digest: bytes) -> None:
        """Write the entry's times into its file, where it is still that file. Raises `OSError`."""
        path = self.place(digest).encode("latin-1")
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (*ABSENT, errno.ELOOP):
                return
            raise
        try:
            if os.fstat(fd).st_ino == opened.stamp:
                os.pwrite(fd, pack(opened.entry)[:FIXED], 0)
        finally:
            os.close(fd)

    def remove(self, digest: bytes) -> bool:
        """Take an entry away. Return whether there was one."""
        self.index.forget(digest)
        return self.unlink(digest)

    def note(self, digest: bytes, size: int, stamp: int, now: int) -> None:
        """Note a file that is there."""
        self._push_out(self.index.add(digest, size, stamp, now))

    def unlink(self, digest: bytes) -> bool:
        """Take a file away whose place is given up. Return whether there was one."""
        try:
            os.unlink(self.place(digest).encode("latin-1"))  # noqa: PTH108  bytes
        except OSError as error:
            if error.errno not in ABSENT:
                self.say("crit", os_failure("unlink()", error, self.place(digest)))
            return False
        return True

    def fail(self, digest: bytes, status: int, valid: int, now: int) -> None:
        """Let a status be the answer until `valid`, where there is no file."""
        self._push_out(self.index.fail(digest, status, valid, now))

    def visit(self, digest: bytes, now: int) -> tuple[int, int]:
        """Count a use; how many there were, and the status that is to be given (0: none)."""
        place, gone = self.index.visit(digest, now)
        self._push_out(gone)
        return place.uses, place.error

    def used(self, digest: bytes, opened: OpenEntry, now: int) -> None:
        """Note that an entry is given, once a second."""
        known = self.known.get(digest)
        if known is not None:
            if known.noted == now:
                return
            known.noted = now
        if not self.index.used(digest, now):
            self._push_out(self.index.add(digest, opened.size, opened.stamp, now))

    def _push_out(self, gone: bytes) -> None:
        if gone:
            self.remove(gone)

    def _bad(self, path: str, why: str) -> None:
        self.say("crit", f'cache file "{path}" can not be used and is removed: {why}')
        try:
            os.unlink(path.encode("latin-1"))  # noqa: PTH108
        except OSError as error:
            if error.errno not in ABSENT:
                self.say("crit", os_failure("unlink()", error, path))

    def _bring(self, file: TempFile, path: bytes) -> None:
        try:
            os.rename(file.path.encode("latin-1"), path)  # noqa: PTH104  bytes
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._move(file, path)

    def _move(self, file: TempFile, path: bytes) -> None:
        """The rename of a file that lies on another file system: it is copied first."""
        beside = path + b".new"
        target = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            at = 0
            while count := os.sendfile(target, file.fd, at, 1 << 20):
                at += count
            os.rename(beside, path)  # noqa: PTH104
        except BaseException:
            os.unlink(beside)  # noqa: PTH108
            raise
        finally:
            os.close(target)
        os.unlink(file.path.encode("latin-1"))  # noqa: PTH108


def digest_of(key: bytes) -> bytes:
    """Return what a file is called by its key: MD5, as in nginx, whose scripts find files by it. The key in the file
    tells two keys with one digest apart."""
    return md5(key, usedforsecurity=False).digest()
