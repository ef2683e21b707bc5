"""Questions to all machines of the fleet and their answers, over channels of Redis: nothing is stored, nothing is kept.

A question is one message that every worker gets; each answers by itself, in pieces, on the channel of who asked.

    {penstock:NAME}:ask       {"id": "...", "from": LEASE, "to": [LEASE ...] or null, "question": {...}}
    {penstock:NAME}:to:LEASE  ID (16 bytes) NUMBER COUNT (2 bytes each) LENGTH (1 byte) LEASE, and a piece of the
                              answer, which is JSON, deflated

Whoever can write to these channels can ask; what they are told is parsed with bounds, and believed in nothing else.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import Any, NamedTuple, TypeAlias

Told: TypeAlias = dict[str, Any]  # JSON, from another machine

PIECE = 128 << 10
"""Bytes of an answer in one message."""
MOST_PIECES = 256
LONGEST = 16 << 20
"""Bytes of one answer, inflated."""
LONGEST_OF_ALL = 64 << 20
"""Bytes of all answers to one question, inflated or not."""
LONGEST_QUESTION = 64 << 10
MOST_OPEN = 4
"""Questions that a worker asks at a time."""
MOST_ANSWERED = 4
"""Questions that a worker answers at a time; more of them are not answered."""
_HEAD = struct.Struct("<16sHHB")
ASKED = frozenset({"tunnels", "close", "upstreams", "steer"})


class Piece(NamedTuple):
    """A part of an answer, by whom, and how many there are of them."""

    question: bytes
    number: int
    pieces: int
    lease: str
    data: bytes


class AskedByFleet(NamedTuple):
    """A question of another worker: its id, who asks, and what."""

    id: bytes
    asker: str
    question: Told


def fresh_id() -> bytes:
    """Make the id of a question."""
    return os.urandom(8).hex().encode("ascii")


def pack_question(id: bytes, asker: str, to: list[str] | None, question: Told) -> bytes:
    """Write a question."""
    return json.dumps({"id": id.decode("ascii"), "from": asker, "to": to, "question": question}).encode("ascii")


def read_question(data: bytes, own: str) -> AskedByFleet | None:
    """Read a question; None for what is none, or not for us."""
    if len(data) > LONGEST_QUESTION:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    id, asker, to, question = (found.get(name) for name in ("id", "from", "to", "question"))
    if not isinstance(id, str) or len(id) != 16 or not id.isalnum() or not id.isascii():
        return None
    if not isinstance(asker, str) or not isinstance(question, dict) or question.get("do") not in ASKED:
        return None
    if len(asker) > 64 or not asker.isascii() or not asker.replace(":", "").replace("-", "").isalnum():
        return None
    if to is not None and (not isinstance(to, list) or own not in to):
        return None
    return AskedByFleet(id.encode("ascii"), asker, question)


def pack_answer(id: bytes, lease: str, answer: Told) -> list[bytes]:
    """Write an answer in pieces."""
    data = zlib.compress(json.dumps(answer).encode("ascii"), 1)
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)] or [b""]
    own = lease.encode("ascii")
    return [_HEAD.pack(id, number, len(pieces), len(own)) + own + piece for number, piece in enumerate(pieces)]


def read_piece(data: bytes) -> Piece | None:
    """Read a piece; None for what is none."""
    if len(data) < _HEAD.size:
        return None
    id, number, count, length = _HEAD.unpack_from(data)
    lease = data[_HEAD.size : _HEAD.size + length]
    if len(lease) != length or not lease.isascii() or not number < count <= MOST_PIECES:
        return None
    piece = data[_HEAD.size + length :]
    if len(piece) > PIECE:
        return None
    return Piece(id, number, count, lease.decode("ascii"), piece)


class Gathering:
    """The answers to one question, as they come: from those who were asked, one of each, and no more than there may be.
    """

    __slots__ = ("_bytes", "_inflated", "_pieces", "answers", "wanted")

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = set(wanted)
        self.answers: dict[str, Told] = {}
        self._pieces: dict[str, dict[int, bytes]] = {}
        self._bytes = self._inflated = 0

    @property
    def complete(self) -> bool:
        """Return whether all have answered."""
        return self.wanted <= self.answers.keys()

    def add(self, piece: Piece) -> None:
        """Add a piece. What can not be read counts as silence."""
        lease = piece.lease
        if lease not in self.wanted or lease in self.answers or self._bytes + len(piece.data) > LONGEST_OF_ALL:
            return
        pieces = self._pieces.setdefault(lease, {})
        if piece.number in pieces:
            return
        pieces[piece.number] = piece.data
        self._bytes += len(piece.data)
        if len(pieces) < piece.pieces:
            return
        del self._pieces[lease]
        text = _inflated(b"".join(pieces[number] for number in sorted(pieces)), LONGEST_OF_ALL - self._inflated)
        self._inflated += len(text)
        answer = _read(text)
        if answer is not None:
            self.answers[lease] = answer
        else:
            self.wanted.discard(lease)


def _inflated(data: bytes, most: int) -> bytes:
    """What was deflated; b"" where it is none, or too much."""
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, min(LONGEST, most + 1))
    except zlib.error:
        return b""
    return text if reader.eof and not reader.unconsumed_tail and len(text) <= most else b""


def _read(text: bytes) -> Told | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
