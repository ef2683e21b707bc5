"""What keys have used of their quotas, as Redis is told (`scripts.use`): in batches, about once a second."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from penstock.net.redis.replies import Reply

_USE = struct.Struct("<16sIIdd")


class Use(NamedTuple):
    """What one key has used: `amount` more. `window` and `known` are the last that Redis has told: the number of a
    period of so many seconds, and all that was used in it."""

    digest: bytes
    period: int
    window: int
    known: int
    amount: int


def pack_use(uses: Iterable[Use]) -> bytes:
    """Pack a question."""
    return b"".join(_USE.pack(*use) for use in uses)


def read_use(reply: list[Reply]) -> Iterator[tuple[int, int]]:
    """Read the answer: for each key, in their order, the number of the period and all that was used in it. It ends
    where it is no such answer."""
    for at in range(1, len(reply) - 1, 2):
        window, total = reply[at], reply[at + 1]
        if type(window) is not int or type(total) is not int or not 0 <= window < 2**32 or not 0 <= total < 2**63:
            return
        yield window, total
