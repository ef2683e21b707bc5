"""Questions to all machines of the fleet and their answers, over channels of Redis: nothing is stored, nothing is kept.

A question is one message that every worker gets; each answers by itself, in pieces, on the channel of who asked.

    {penstock:NAME}:ask       {"id": "...", "from": LEASE, "to": [LEASE ...] or null, "question": {...}}
    {penstock:NAME}:to:LEASE  ID (16 bytes) NUMBER COUNT (2 bytes each) LENGTH (1 byte) LEASE, and a piece of the
                              answer, which is JSON, deflated

Whoever can write to these channels can ask; what they are told is parsed with bounds, and believed in nothing else. A
worker only gathers answers: the command that asked inflates and reads them, and not the loop that serves.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

Told: TypeAlias = dict[str, Any]  # JSON, from another machine

PIECE = 128 << 10
"""Bytes of an answer in one message."""
MOST_PIECES = 256
AT_ONCE = 200
"""Tunnels of an answer that are written before others have their turn."""
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


def deflate(answer: Told) -> Iterator[bytes]:
    """Write an answer, part by part: between two of them others may have their turn."""
    deflater = zlib.compressobj(1)
    tunnels = answer.get("tunnels")
    rest = {name: value for name, value in answer.items() if name != "tunnels"}
    text = json.dumps(rest if tunnels is None else {**rest, "tunnels": []})
    if tunnels:
        text = text.removesuffix("[]}") + "["
        for at in range(0, len(tunnels), AT_ONCE):
            yield deflater.compress(text.encode("ascii"))
            text = (", " if at else "") + json.dumps(tunnels[at : at + AT_ONCE])[1:-1]
        text += "]}"
    yield deflater.compress(text.encode("ascii")) + deflater.flush()


def pack_answer(id: bytes, lease: str, data: bytes) -> list[bytes]:
    """Cut a deflated answer into pieces."""
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

    __slots__ = ("_bytes", "_pieces", "answers", "wanted")

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.answers: dict[str, bytes] = {}
        self._pieces: dict[str, dict[int, bytes]] = {}
        self._bytes = 0

    @property
    def complete(self) -> bool:
        """Return whether all have answered."""
        return self.wanted <= self.answers.keys()

    def add(self, piece: Piece) -> None:
        """Add a piece."""
        lease = piece.lease
        if lease not in self.wanted or lease in self.answers or self._bytes + len(piece.data) > LONGEST_OF_ALL:
            return
        pieces = self._pieces.setdefault(lease, {})
        if piece.number in pieces:
            return
        pieces[piece.number] = piece.data
        self._bytes += len(piece.data)
        if len(pieces) == piece.pieces:
            del self._pieces[lease]
            self.answers[lease] = b"".join(pieces[number] for number in sorted(pieces))


def read_answers(packed: Iterable[bytes]) -> list[Told]:
    """Read answers, which are deflated; what can not be read, or swells, is left out."""
    found: list[Told] = []
    left = LONGEST_OF_ALL
    for data in packed:
        text = _inflated(data, left)
        left -= len(text)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict):
            found.append(answer)
    return found


def _inflated(data: bytes, most: int) -> bytes:
    """What was deflated; b"" where it is none, or too much."""
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, min(LONGEST, most + 1))
    except zlib.error:
        return b""
    return text if reader.eof and not reader.unconsumed_tail and len(text) <= most else b""
