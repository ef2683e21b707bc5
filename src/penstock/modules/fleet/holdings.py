"""What this worker holds of the fleet's places, by digest: the truth that Redis is told whenever it may be wrong."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

_TRUTH = struct.Struct("<16sI")
BATCH = 2000
"""Digests in one message of the truth: Redis serves nobody else for a few milliseconds."""


class Holdings:
    """`held` are places that somebody here has, `asked` those that Redis was asked for and has not answered.

    `doubtful` are digests of which Redis may think something else. It is told more rather than less than there is:
    what was asked for counts as held, since Redis may have granted it just now.
    """

    __slots__ = ("asked", "doubtful", "held")

    def __init__(self) -> None:
        self.held: dict[bytes, int] = {}
        self.asked: dict[bytes, int] = {}
        self.doubtful: set[bytes] = set()

    def hold(self, digests: Iterable[bytes]) -> None:
        """Count places that somebody here has now."""
        _add(self.held, digests)

    def leave(self, digests: Iterable[bytes]) -> None:
        """Count one less of each."""
        _take_off(self.held, digests)

    def ask(self, digests: Iterable[bytes]) -> None:
        """Count places that Redis is asked for."""
        _add(self.asked, digests)

    def hear(self, digests: Iterable[bytes]) -> None:
        """Count one less of each: Redis has answered, or never will."""
        _take_off(self.asked, digests)

    def pack(self, digests: Iterable[bytes]) -> bytes:
        """Pack the truth about some digests. What is in doubt even so stays so."""
        parts: list[bytes] = []
        held, asked, doubtful = self.held, self.asked, self.doubtful
        for digest in digests:
            open_questions = asked.get(digest, 0)
            parts.append(_TRUTH.pack(digest, held.get(digest, 0) + open_questions))
            if open_questions:
                doubtful.add(digest)
            else:
                doubtful.discard(digest)
        return b"".join(parts)

    def some_doubtful(self) -> list[bytes]:
        """Return digests that are in doubt, as many as go into one message."""
        if len(self.doubtful) <= BATCH:
            return list(self.doubtful)
        return [digest for digest, _ in zip(self.doubtful, range(BATCH), strict=False)]

    def batches(self) -> Iterator[list[bytes]]:
        """Return all digests, in lists that go into one message each; one list at least."""
        every = list({**self.held, **self.asked})
        yield every[:BATCH]
        for at in range(BATCH, len(every), BATCH):
            yield every[at : at + BATCH]


def _add(counts: dict[bytes, int], digests: Iterable[bytes]) -> None:
    for digest in digests:
        counts[digest] = counts.get(digest, 0) + 1


def _take_off(counts: dict[bytes, int], digests: Iterable[bytes]) -> None:
    for digest in digests:
        left = counts.get(digest, 0) - 1
        if left > 0:
            counts[digest] = left
        else:
            counts.pop(digest, None)
