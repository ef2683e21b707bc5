"""Answers to the challenges of an authority: written by who orders certificates, read by workers (RFC 8555, section 8).

A challenge is pinned for the seconds that the authority takes to look, and taken off afterwards.
"""

from __future__ import annotations

import struct

from penstock.config.key import Key
from penstock.shared.memory import LockedMemory

BOARD: Key[ChallengeBoard] = Key("challenge board")
"""The key of the plan's `shared` under which it is, if certificates are ordered."""

HTTP, TLS = 1, 2
"""What is asked for: a path below /.well-known/acme-challenge/, or a handshake for a name (RFC 8737)."""

_SLOT = 8192
_HEAD = struct.Struct("<BHH")


class ChallengeBoard(LockedMemory):
    """Up to `places` challenges: each a kind, a name (token, or host name in lower case) and what is to be answered, of
    8 KiB together at most."""

    __slots__ = ("_places",)

    def __init__(self, places: int = 32) -> None:
        super().__init__("challenges", places * _SLOT)
        self._places = places

    def pin(self, kind: int, name: str, answer: bytes) -> bool:
        """Pin an answer, in place of one of that name. Return False if there is no room."""
        key = name.encode("latin-1")
        if not key or _HEAD.size + len(key) + len(answer) > _SLOT:
            return False
        with self:
            free = None
            for place in range(self._places):
                found = self._name(place)
                if found == (kind, key):
                    free = place
                    break
                if free is None and found is None:
                    free = place
            if free is None:
                return False
            at = free * _SLOT
            data = _HEAD.pack(kind, len(key), len(answer)) + key + answer
            self.memory[at : at + len(data)] = data
            return True

    def take_off(self, kind: int, name: str) -> None:
        """Take an answer off, if it is there."""
        wanted = kind, name.encode("latin-1")
        with self:
            for place in range(self._places):
                if self._name(place) == wanted:
                    self._clear(place)

    def clear(self) -> None:
        """Take everything off: what an orderer that was killed has left."""
        with self:
            for place in range(self._places):
                self._clear(place)

    def find(self, kind: int, name: str) -> bytes | None:
        """Return the answer of that kind and name."""
        wanted = kind, name.encode("latin-1")
        with self:
            for place in range(self._places):
                if self._name(place) == wanted:
                    at = place * _SLOT
                    _, size, length = _HEAD.unpack_from(self.memory, at)
                    begin = at + _HEAD.size + size
                    return bytes(self.memory[begin : begin + length])
        return None

    def _name(self, place: int) -> tuple[int, bytes] | None:
        at = place * _SLOT
        kind, size, _ = _HEAD.unpack_from(self.memory, at)
        begin = at + _HEAD.size
        return (kind, bytes(self.memory[begin : begin + size])) if kind else None

    def _clear(self, place: int) -> None:
        self.memory[place * _SLOT : (place + 1) * _SLOT] = bytes(_SLOT)
