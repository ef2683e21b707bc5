"""What all processes know of the files of a cache: how often and when each was asked for, its size, and who is
fetching it. The files themselves say what they are; this is the bookkeeping beside them.

A place lies somewhere in a short window that its digest chooses, as in `Zone`: nothing links one place to another, and
a process that is killed in the middle of a change spoils nothing else. Where a window is full, who was asked for least
lately goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from penstock.shared.memory import LockedMemory
from penstock.shared.processes import is_alive

DIGEST = 16
WINDOW = 32
"""Places in which one may lie."""
MOST_USES = 1023
_FREE = bytes(DIGEST)
_FORM = Struct("<16sIHHIIdQQ8x")
PLACE = _FORM.size
_USED = DIGEST
_STAMP_FORM = Struct("<I")
_SPAN = PLACE * WINDOW
_FACTOR = 8
"""Bytes behind the places: a number that only those know who share this, so that nobody outside can choose keys that
share a window. One more says whether what was there before is known."""


class Place(NamedTuple):
    """What is known of one file. `used`, `valid` are seconds since 1970, `until` is a monotonic moment. `error` is the
    status that is given until `valid` in place of a file. `owner` fetches it, until that moment at the latest."""

    digest: bytes
    used: int
    uses: int
    error: int
    owner: int
    valid: int
    until: float
    size: int
    stamp: int


class CacheIndex(LockedMemory):
    """Shared memory of `size` bytes under a name, made before workers are forked."""

    __slots__ = ("_factor", "places", "size")

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self.places = size // PLACE
        if self.places < WINDOW:
            raise ValueError(f"an index takes at least {_SPAN} bytes")
        end = self.places * PLACE
        super().__init__(name, end, _FACTOR + 1)
        factor = os.pread(self._fd, _FACTOR, end)
        if factor == bytes(_FACTOR):
            factor = os.urandom(_FACTOR)
            os.pwrite(self._fd, factor, end)
        self._factor = int.from_bytes(factor, "little") | 1

    def find(self, digest: bytes) -> int:
        """Find the offset of a place; -1 if there is none. Needs no lock: what it tells may be old already."""
        start = self._window(digest)
        at = start
        while (at := self.memory.find(digest, at, start + _SPAN)) >= 0:
            if (at - start) % PLACE == 0:
                return at
            at += 1
        return -1

    def read(self, digest: bytes) -> Place | None:
        """Look at a place, without a lock."""
        at = self.find(digest)
        return None if at < 0 else self._read(at)

    def used(self, digest: bytes, now: int) -> bool:
        """Note that a file was given, without a lock; False where it has no place.

        What might be overwritten is the same figure of a place that was taken a moment ago.
        """
        at = self.find(digest)
        if at < 0:
            return False
        self.memory[at + _USED : at + _USED + 4] = _STAMP_FORM.pack(now)
        return True

    def visit(self, digest: bytes, now: int) -> tuple[Place, bytes]:
        """Count a use. Return the place, which is made where there is none, and the digest that had to go for it."""
        with self:
            at, gone = self._place(digest, now)
            place = self._read(at)
            if place.error and place.valid < now:
                place = place._replace(error=0, uses=0)
            place = place._replace(used=now, uses=min(place.uses + 1, MOST_USES))
            self._write(at, place)
            return place, gone

    def add(self, digest: bytes, size: int, stamp: int, now: int) -> bytes:
        """Note that there is a file. Return the digest of what had to go for it, b"" if nothing had to."""
        with self:
            at, gone = self._place(digest, now)
            place = self._read(at)
            self._write(at, place._replace(used=now, uses=max(place.uses, 1), error=0, size=size, stamp=stamp))
            return gone

    def fail(self, digest: bytes, status: int, valid: int, now: int) -> bytes:
        """Note that this status is to be given until `valid`. What it returns is as with `add`."""
        with self:
            at, gone = self._place(digest, now)
            self._write(at, self._read(at)._replace(used=now, error=status, valid=valid))
            return gone

    def claim(self, digest: bytes, now: float, until: float) -> bool:
        """Claim to be the one who fetches a file, until that moment; False where another process or request does."""
        with self:
            at = self.find(digest)
            if at < 0:
                return True
            place = self._read(at)
            if place.owner and place.until > now and is_alive(place.owner):
                return False
            self._write(at, place._replace(owner=os.getpid(), until=until))
            return True

    def is_claimed(self, digest: bytes, now: float) -> bool:
        """Return whether somebody fetches a file, without a lock."""
        place = self.read(digest)
        return place is not None and place.owner != 0 and place.until > now and is_alive(place.owner)

    def release(self, digest: bytes, until: float) -> None:
        """Give up a claim that was made until that moment."""
        with self:
            at = self.find(digest)
            if at >= 0:
                place = self._read(at)
                if place.owner == os.getpid() and place.until == until:
                    self._write(at, place._replace(owner=0, until=0.0))

    def forget(self, digest: bytes, seen: Place | None = None) -> bool:
        """Give up a place, if it is still as it was `seen`. Return whether that was done."""
        with self:
            at = self.find(digest)
            if at < 0 or (seen is not None and self._read(at) != seen):
                return False
            self.memory[at : at + PLACE] = bytes(PLACE)
            return True

    @property
    def loaded(self) -> bool:
        """Return whether all files that were there before are noted."""
        return os.pread(self._fd, 1, self.places * PLACE + _FACTOR) == b"1"

    @loaded.setter
    def loaded(self, whether: bool) -> None:
        os.pwrite(self._fd, b"1" if whether else b"0", self.places * PLACE + _FACTOR)

    def all(self, begin: int, count: int) -> Iterator[Place]:
        """List what is in the places from that number on, without a lock."""
        end = min((begin + count) * PLACE, self.places * PLACE)
        for values in _FORM.iter_unpack(self.memory[begin * PLACE : end]):
            if values[0] != _FREE:
                yield Place._make(values)

    def _place(self, digest: bytes, now: int) -> tuple[int, bytes]:
        at = self.find(digest)
        if at >= 0:
            return at, b""
        start = self._window(digest)
        window = range(start, start + _SPAN, PLACE)
        at = next((each for each in window if self.memory[each : each + DIGEST] == _FREE), -1)
        gone = b""
        if at < 0:
            at = min(window, key=self._rank)
            oldest = self._read(at)
            gone = oldest.digest if oldest.stamp else b""
        self._write(at, Place(digest, now, 0, 0, 0, 0, 0.0, 0, 0))
        return at, gone

    def _rank(self, at: int) -> tuple[bool, int]:
        """Who goes first: nobody fetches it, and it was asked for longest ago."""
        place = self._read(at)
        return place.owner != 0, place.used

    def _read(self, at: int) -> Place:
        return Place._make(_FORM.unpack_from(self.memory, at))

    def _write(self, at: int, place: Place) -> None:
        # One copy of one piece of memory: who is killed has done it, or not.
        self.memory[at : at + PLACE] = _FORM.pack(*place)

    def _window(self, digest: bytes) -> int:
        mixed = int.from_bytes(digest[:8], "little") * self._factor & 0xFFFF_FFFF_FFFF_FFFF
        return (mixed >> 16) % (self.places - WINDOW + 1) * PLACE
