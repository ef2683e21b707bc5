"""An answer on its way into a cache: a file without its name, until all of the answer is in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from penstock.http.cache.entry import CacheEntry, pack
from penstock.upstream.exchange.temp_file import CannotKeep, TempFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.upstream.cache.store import CacheStore
    from penstock.upstream.exchange.temp_file import TempFolder


class Keeping:
    """`entry` is what will be kept, `done` is called once, when it is or never will be. Making one raises `CannotKeep`.
    """

    __slots__ = ("_digest", "_done", "_file", "_folder", "_start", "_store", "entry", "length")

    deed = "put into the cache"

    def __init__(
        self, store: CacheStore, folder: TempFolder, digest: bytes, entry: CacheEntry, done: Callable[[], None]
    ) -> None:
        self._store = store
        self._folder = folder
        self._digest = digest
        self._done: Callable[[], None] | None = done
        self.entry = entry
        self.length = 0
        self._file = file = TempFile(folder, named=True)
        self._start = entry.start
        try:
            # Its lengths and its checksum are wrong until the end, so that it is no entry whatever happens.
            file.append(bytes(self._start))
        except CannotKeep:
            file.remove()
            raise

    def append(self, data: bytes) -> None:
        """Write what comes next of the body: all of it, or none. Raises `CannotKeep`."""
        self._file.append(data)
        self.length += len(data)

    def read(self, offset: int, count: int) -> bytes:
        """Read what has been written of the body. Raises `CannotKeep`."""
        return self._file.read(self._start + offset, count)

    def complete(self, now: int) -> None:
        """Let it be the entry: all of the answer has come. Raises `CannotKeep`, and nothing is kept then."""
        self.entry.body_length = self.length
        try:
            os.pwrite(self._file.fd, pack(self.entry), 0)
            self._store.put(self._file, self._digest, now)
        except OSError as error:
            raise CannotKeep("rename()", self._store.place(self._digest), self._folder, error) from None
        finally:
            self._ended()

    def give_up(self) -> None:
        """Keep nothing: what has been written can still be read, but no name leads to it. Raises `CannotKeep`."""
        self._ended()
        self._file.unname()

    def close(self) -> None:
        """Let go of the file; without a `complete` it is gone. Raises `CannotKeep`."""
        self._ended()
        self._file.remove()

    def _ended(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            done()
