"""A request's question to Redis: which places and rates it needs, and the wait for one answer to all of it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber, current, pause

if TYPE_CHECKING:
    from penstock.modules.fleet.link import Link
    from penstock.net.redis.replies import Reply

_PLACE = struct.Struct("<16sI")
_RATE = struct.Struct("<16sdd")

GRANTED, PARTLY, NO_PLACE, TOO_FAST = 1, 0, 2, 3
"""What Redis says: all is granted; rates are, and of places it is not sure; a place is missing; a rate is exceeded."""


class Question:
    """`places` are digests. A reply is None where this machine has to decide."""

    __slots__ = ("_fiber", "_packed", "_rates", "over", "places", "reply")

    def __init__(self) -> None:
        self.places: list[bytes] = []
        self._packed = b""
        self._rates: list[bytes] = []
        self._fiber: Fiber[object] | None = None
        self.reply: list[Reply] | None = None
        self.over = False

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
        call = link.enter(packed, self.places, self._told)
        if call is None:
            return None
        self._fiber = current()
        try:
            while not self.over:
                await pause()
        finally:
            self._fiber = None
            call.waiter = None
        return self.reply

    def _told(self, reply: list[Reply] | None) -> None:
        self.over = True
        self.reply = reply
        fiber = self._fiber
        if fiber is not None:
            fiber.resume()
