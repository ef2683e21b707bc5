"""What a request asks Redis: which places and rates it needs, in one question; and a fiber's wait for an answer."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber, current, pause
from penstock.net.redis.replies import argument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from penstock.modules.fleet.call import Waiter
    from penstock.net.redis.replies import Reply

_PLACE = struct.Struct("<16sI")
_RATE = struct.Struct("<16sdd")

GRANTED, PARTLY, NO_PLACE, TOO_FAST = 1, 0, 2, 3
"""What Redis says: all is granted; rates are, and of places it is not sure; a place is missing; a rate is exceeded."""


class Wait:
    """The wait of a fiber for one reply, which may also never come."""

    __slots__ = ("_fiber", "over", "reply")

    def __init__(self) -> None:
        self._fiber: Fiber[object] | None = None
        self.reply: list[Reply] | None = None
        self.over = False

    async def of(self, ask: Callable[[Waiter], bool]) -> list[Reply] | None:
        """Ask, and wait; None where nobody is asked, or nobody answers in time."""
        if not ask(self._told):
            return None
        self._fiber = current()
        try:
            while not self.over:
                await pause()
        finally:
            self._fiber = None
        return self.reply

    def _told(self, reply: list[Reply] | None) -> None:
        self.over = True
        self.reply = reply
        fiber = self._fiber
        if fiber is not None:
            fiber.resume()


def question(places: Sequence[tuple[bytes, int]], rates: Iterable[tuple[bytes, int, int]]) -> bytes:
    """Write a question as the argument it is (`Link.enter`): for each place its digest and how many there are, for each
    bucket to be counted in its digest, how many thousandths of a request leak in a second and how many it holds."""
    counted = [_RATE.pack(digest, 1e9 / rate, burst) for digest, rate, burst in rates]
    packed = [_PLACE.pack(digest, most) for digest, most in places]
    return argument(bytes((len(packed), len(counted))) + b"".join(packed + counted))
