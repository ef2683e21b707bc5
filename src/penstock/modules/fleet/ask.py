"""A request's question to Redis: which places and rates it needs, and the wait for one answer to all of it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber, current, pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.modules.fleet.call import RedisCall, Waiter
    from penstock.modules.fleet.link import Link
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


class Question(Wait):
    """`places` are digests. A reply is None where this machine has to decide."""

    __slots__ = ("_packed", "_rates", "call", "places")

    def __init__(self) -> None:
        super().__init__()
        self.places: list[bytes] = []
        self._packed = b""
        self._rates: list[bytes] = []
        self.call: RedisCall | None = None

    def place(self, digest: bytes, most: int) -> None:
        """Add one of `most` places."""
        self.places.append(digest)
        self._packed += _PLACE.pack(digest, most)

    def rate(self, digest: bytes, rate: int, burst: int) -> None:
        """Add a bucket to be counted in, which leaks `rate` thousandths of a request a second and holds `burst`."""
        self._rates.append(_RATE.pack(digest, 1e9 / rate, burst))

    async def ask(self, link: Link) -> list[Reply] | None:
        """Ask Redis, and wait. Places that are granted when nobody waits any more count as nobody's."""
        packed = bytes((len(self.places), len(self._rates))) + self._packed + b"".join(self._rates)

        def enter(told: Waiter) -> bool:
            self.call = link.enter(packed, self.places, told)
            return self.call is not None

        try:
            return await self.of(enter)
        finally:
            call, self.call = self.call, None
            if call is not None:
                call.waiter = None
