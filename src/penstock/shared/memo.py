"""What became of bytes that come again and again.

A client repeats its header lines with every request on a connection, and a backend gives the same head to many. What
has been parsed once, byte for byte, need not be parsed again: it is found by all of its bytes, never by a part of them.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K", bytes, str, "tuple[object, ...]")
T = TypeVar("T")

MOST = 128
LONGEST = 2048


class Memo(dict[K, T], Generic[K, T]):
    """Bytes, or what stands for some, -> what they were parsed to, within bounds: at most `MOST` of at most `LONGEST`
    bytes or parts each.

    Ask with `get`. What comes only once does not take anybody's place: `again` tells whether to remember.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen = [0] * MOST

    def again(self, data: K) -> bool:
        """Return whether these bytes, which are not in here, have been asked about lately, and may be put in now."""
        if len(data) > LONGEST:
            return False
        key = hash(data)
        at = key % MOST
        if self._seen[at] != key:
            self._seen[at] = key
            return False
        if len(self) >= MOST:
            self.clear()
        return True
