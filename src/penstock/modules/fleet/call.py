"""A script that Redis was asked to run, and who waits for what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from penstock.modules.fleet.scripts import Script
from penstock.net.redis.replies import Reply

Waiter: TypeAlias = "Callable[[list[Reply] | None], None]"


class RedisCall:
    """`arguments` are written as they go out, `due` is when whoever waits goes on without (monotonic seconds). `places`
    are the digests that were asked for, `left` those that it tells have been left."""

    __slots__ = ("_told", "again", "arguments", "due", "left", "places", "script", "waiter")

    def __init__(
        self,
        script: Script,
        arguments: bytes,
        waiter: Waiter | None,
        due: float,
        told: Callable[[RedisCall, Reply], None],
        places: Sequence[bytes] = (),
        left: Sequence[bytes] = (),
    ) -> None:
        self.script = script
        self.arguments = arguments
        self.waiter = waiter
        self.due = due
        self.places = places
        self.left = left
        self.again = False
        self._told = told

    def __call__(self, reply: Reply) -> None:
        self._told(self, reply)

    def dismiss(self) -> bool:
        """Let whoever waits go on without an answer; whether somebody did."""
        waiter, self.waiter = self.waiter, None
        if waiter is None:
            return False
        waiter(None)
        return True


def nobody(reply: Reply) -> None:
    """Hear a reply that nobody waits for."""
