"""A script that Redis was asked to run, and who waits for what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from penstock.modules.fleet.scripts import Script
from penstock.net.redis.replies import Reply

Waiter: TypeAlias = "Callable[[list[Reply] | None], None]"


class RedisCall:
    """`due` is when whoever waits goes on without (monotonic seconds), `places` are the digests that were asked for."""

    __slots__ = ("_told", "again", "due", "packed", "places", "script", "waiter")

    def __init__(
        self,
        script: Script,
        packed: bytes,
        waiter: Waiter | None,
        due: float,
        told: Callable[[RedisCall, Reply], None],
    ) -> None:
        self.script = script
        self.packed = packed
        self.waiter = waiter
        self.due = due
        self.places: Sequence[bytes] = ()
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
