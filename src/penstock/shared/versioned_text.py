"""One JSON text in memory that all workers share, with a version: whoever changes it holds the lock meanwhile."""

from __future__ import annotations

import json
import struct
from typing import Any

from penstock.shared.memory import LockedMemory

SIZE = 1 << 20
"""Bytes of one text: what is said of several thousand servers."""

_HEAD = struct.Struct("<QI")

State = dict[str, Any]  # JSON, of this program's making


class TooMuch(Exception):
    """Raised if there is no room for all that is set."""


class VersionedText(LockedMemory):
    """A text for all workers. `what` it is about stands in the error that there is too much of it."""

    __slots__ = ("_what",)

    def __init__(self, name: str, what: str) -> None:
        super().__init__(name, SIZE)
        self._what = what

    @property
    def version(self) -> int:
        """Return which version it is, from 0 on."""
        version: int = _HEAD.unpack_from(self.memory, 0)[0]
        return version

    def read(self) -> State:
        """Read it. The caller holds the lock."""
        _, length = _HEAD.unpack_from(self.memory, 0)
        if not length:
            return {}
        state: State = json.loads(self.memory[_HEAD.size : _HEAD.size + length])
        return state

    def write(self, state: State) -> int:
        """Write this instead, and return its version. The caller holds the lock. Raises `TooMuch`."""
        text = json.dumps(state, separators=(",", ":")).encode("ascii")
        if len(text) > SIZE - _HEAD.size:
            raise TooMuch(f"{self._what} takes more than {SIZE >> 10} KiB")
        version = self.version + 1
        self.memory[_HEAD.size : _HEAD.size + len(text)] = text
        _HEAD.pack_into(self.memory, 0, version, len(text))
        return version
