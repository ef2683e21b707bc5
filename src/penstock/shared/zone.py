"""Memory that all workers share: a table of records of one size, found by the digest of a key.

A record lies somewhere in a short window that its digest chooses, so that nothing links one record to another: a
worker that is killed in the middle of a change leaves every other record as it was.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import blake2b

from penstock.shared.memory import LockedMemory

RECORD = 32
"""Bytes of a record: 16 of digest and 16 of value."""

WINDOW = 32
"""Records in which one may lie."""

_DIGEST = 16
_SALT = 16
"""Behind the records, so that all who share it agree on digests."""
_FREE = bytes(_DIGEST)
_REMEMBERED = 128
_SPAN = RECORD * WINDOW


def remembered(digest: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """Return a function that remembers the digests of the last keys: many are about the same server or client."""
    return lru_cache(_REMEMBERED)(digest)


class Zone(LockedMemory):
    """Shared memory of `size` bytes under a name, made before workers are forked. Use records inside `with zone:` only.

    An offset stands for a record. Its value is 16 bytes, read and written with the `struct.Struct` of who uses it.
    """

    __slots__ = ("_records", "digest", "size")

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self._records = size // RECORD
        if self._records < WINDOW:
            raise ValueError(f"a zone takes at least {_SPAN} bytes")
        end = self._records * RECORD
        super().__init__(name, end, _SALT)
        salt = os.pread(self._fd, _SALT, end)
        if salt == bytes(_SALT):
            salt = os.urandom(_SALT)
            os.pwrite(self._fd, salt, end)

        def digest(key: str) -> bytes:
            return blake2b(key.encode("latin-1"), digest_size=_DIGEST, salt=salt).digest()

        self.digest = remembered(digest)
        """Return what stands for a key in the table. Nobody outside can choose keys that share a window."""

    def find(self, digest: bytes) -> int:
        """Find the record of a digest; -1 if there is none."""
        return next(self.all(digest), -1)

    def all(self, digest: bytes) -> Iterator[int]:
        """Find every record of a digest (several workers may each have one)."""
        start = self._window(digest)
        at = start
        while (at := self.memory.find(digest, at, start + _SPAN)) >= 0:
            if (at - start) % RECORD == 0:
                yield at
            at += 1

    def put(self, digest: bytes, value: bytes) -> int:
        """Add a record, and return its offset; -1 if the window has no room left."""
        start = self._window(digest)
        for at in range(start, start + _SPAN, RECORD):
            if self.memory[at : at + _DIGEST] == _FREE:
                self.memory[at : at + RECORD] = digest + value
                return at
        return -1

    def neighbours(self, digest: bytes) -> Iterator[tuple[int, bytes]]:
        """Return offset and value of every record in the window of a digest."""
        start = self._window(digest)
        for at in range(start, start + _SPAN, RECORD):
            if self.memory[at : at + _DIGEST] != _FREE:
                yield at, self.memory[at + _DIGEST : at + RECORD]

    def read(self, at: int, form: struct.Struct) -> tuple[int, ...]:
        """Read the value of a record."""
        return form.unpack_from(self.memory, at + _DIGEST)

    def write(self, at: int, value: bytes) -> None:
        """Change the value of a record."""
        self.memory[at + _DIGEST : at + RECORD] = value

    def remove(self, at: int) -> None:
        """Forget a record."""
        self.memory[at : at + RECORD] = bytes(RECORD)

    def _window(self, digest: bytes) -> int:
        return int.from_bytes(digest[:8], "little") % (self._records - WINDOW + 1) * RECORD
