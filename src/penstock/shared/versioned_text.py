"""One JSON text in memory that all workers share, with a version: whoever changes it holds the lock meanwhile.

There is room for two: a new one is written beside the one that holds, so that a process that dies amid that breaks
nothing, and so that it can be read without the lock.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from penstock.shared.memory import LockedMemory

SIZE = 1 << 20
"""Bytes of one text, where nothing else is said: what is said of several thousand servers."""
LOOKS = 8
"""How often a text is read that is being changed, before the lock is waited for."""

_VERSION = struct.Struct("<Q")
_LENGTH = struct.Struct("<I")

State = dict[str, Any]  # JSON, of this program's making


class TooMuch(Exception):
    """Raised if there is no room for all that is set."""


class VersionedText(LockedMemory):
    """A text for all workers. `what` it is about stands in the error that there is too much of it."""

    __slots__ = ("_what", "room")

    def __init__(self, name: str, what: str, size: int = SIZE) -> None:
        super().__init__(name, _VERSION.size + 2 * size)
        self._what = what
        self.room = size

    @property
    def version(self) -> int:
        """Return which version it is, from 0 on."""
        version: int = _VERSION.unpack_from(self.memory, 0)[0]
        return version

    def read(self) -> State:
        """Read it. The caller holds the lock."""
        return self._of(self.version)

    def latest(self) -> tuple[int, State]:
        """Return its version and read it, without the lock: nobody is waited for who changes it."""
        for _ in range(LOOKS):
            version = self.version
            try:
                state = self._of(version)
            except ValueError:
                continue
            if self.version == version:
                return version, state
        with self:
            return self.version, self.read()

    def encoded(self, state: State) -> bytes:
        """Write this as a text for `put`. Raises `TooMuch`."""
        text = json.dumps(state, separators=(",", ":")).encode("ascii")
        if len(text) > self.room - _LENGTH.size:
            raise TooMuch(f"{self._what} takes more than {self.room >> 10} KiB")
        return text

    def put(self, text: bytes) -> int:
        """Let this text hold, and return its version. The caller holds the lock."""
        version = self.version + 1
        at = self._place(version)
        _LENGTH.pack_into(self.memory, at, len(text))
        self.memory[at + _LENGTH.size : at + _LENGTH.size + len(text)] = text
        _VERSION.pack_into(self.memory, 0, version)
        return version

    def write(self, state: State) -> int:
        """Write this instead, and return its version. The caller holds the lock. Raises `TooMuch`."""
        return self.put(self.encoded(state))

    def _place(self, version: int) -> int:
        return _VERSION.size + (version & 1) * self.room

    def _of(self, version: int) -> State:
        at = self._place(version)
        (length,) = _LENGTH.unpack_from(self.memory, at)
        if not length or length > self.room - _LENGTH.size:
            return {}
        state: State = json.loads(self.memory[at + _LENGTH.size : at + _LENGTH.size + length])
        return state
