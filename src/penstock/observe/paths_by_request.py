"""Log files whose names depend on the request: opened for each line, or kept open by `open_log_file_cache`."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from penstock.config.os_errors import os_failure
from penstock.observe.errorlog import ALERT, CRIT, report
from penstock.observe.files import open_to_append

if TYPE_CHECKING:
    from penstock.http.request import Request


class KeptFile:
    """A name that was logged to: its descriptor (-1: not kept open), how often it was wanted, when it was opened."""

    __slots__ = ("checked", "fd", "used", "uses")

    def __init__(self, now: float) -> None:
        self.fd = -1
        self.uses = 0
        self.used = now
        self.checked = now

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """The parameters of `open_log_file_cache`; times in seconds."""

    most: int
    inactive: float = 10.0
    valid: float = 60.0
    min_uses: int = 1


class DescriptorCache:
    """The files that were logged to last. One stays open once it was wanted `min_uses` times; after `valid` seconds it
    is seen to whether the name still means the same file."""

    __slots__ = ("_kept", "limits")

    def __init__(self, limits: CacheLimits) -> None:
        self.limits = limits
        self._kept: OrderedDict[str, KeptFile] = OrderedDict()

    def append(self, path: str, data: bytes) -> None:
        """Append data to the file of a name. Raises `OSError`, and `ValueError` for a name that can not be one."""
        now = monotonic()
        limits = self.limits
        kept = self._kept.get(path)
        if kept is not None and kept.fd >= 0 and now - kept.checked >= limits.valid:
            kept.checked = now
            if not _same_file(path, kept.fd):
                kept.close()
        if kept is not None and kept.fd >= 0:
            self._touch(path, kept, now)
            os.write(kept.fd, data)
            return
        fd = open_to_append(path)
        if kept is None:
            kept = self._kept[path] = KeptFile(now)
        self._touch(path, kept, now)
        try:
            os.write(fd, data)
        finally:
            if kept.uses >= limits.min_uses:
                kept.fd = fd
                kept.checked = now
            else:
                os.close(fd)
            self._expire(now)

    def close(self) -> None:
        for kept in self._kept.values():
            kept.close()
        self._kept.clear()

    def _touch(self, path: str, kept: KeptFile, now: float) -> None:
        kept.uses += 1
        kept.used = now
        self._kept.move_to_end(path)

    def _expire(self, now: float) -> None:
        """Forget what has not been used for long, and the oldest if there are too many."""
        while self._kept:
            path, oldest = next(iter(self._kept.items()))
            if len(self._kept) <= self.limits.most and now - oldest.used <= self.limits.inactive:
                return
            oldest.close()
            del self._kept[path]


class NamedByRequest:
    """A log file's name with variables.

    `exists(request)` says whether the request's document root is there: no files are made for names that clients
    invent (nginx: access_log). `cache_of(request)` is the cache in force, None where there is none. `late()` says
    whether the name is known only when all is over.
    """

    __slots__ = ("_cache_of", "_exists", "_path", "late")

    def __init__(
        self,
        path: Callable[[Request], str],
        exists: Callable[[Request], bool],
        cache_of: Callable[[Request], DescriptorCache | None],
        late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.late = late
        self._path = path
        self._exists = exists
        self._cache_of = cache_of

    def bind(self, request: Request) -> NamedFile | None:
        """Return the file for a request; None if nothing is to be logged."""
        if not self._exists(request):
            return None
        return NamedFile(self._path(request), self._cache_of(request))


class NamedFile:
    """A file of `NamedByRequest`, by its name."""

    __slots__ = ("_cache", "_path")

    def __init__(self, path: str, cache: DescriptorCache | None) -> None:
        self._path = path
        self._cache = cache

    @property
    def path(self) -> str:
        return self._path

    def line(self, data: bytes) -> None:
        """Append a line; what can not be written is reported."""
        call, level = "open()", CRIT
        try:
            if self._cache is not None:
                self._cache.append(self._path, data)
                return
            fd = open_to_append(self._path)
            call, level = "write() to", ALERT
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
        except OSError as error:
            report(None, level, os_failure(call, error, self._path))
        except ValueError as error:
            report(None, level, f'{call} "{self._path}" failed ({error})')


def _same_file(path: str, fd: int) -> bool:
    try:
        named = os.stat(path.encode("latin-1"))
    except OSError:
        return False
    return os.path.samestat(named, os.fstat(fd))
