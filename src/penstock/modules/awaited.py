"""Judges that may answer later, for the general transaction, which can wait for them.

Who can not have a coroutine, the straight way, asks the judge itself and is called with its answer (`plan/later.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ECONNRESET
from typing import TYPE_CHECKING, TypeAlias

from penstock.http.request import Outcome, Request
from penstock.net.errors import PeerGone
from penstock.net.fiber import current, pause
from penstock.plan.later import Later

if TYPE_CHECKING:
    from penstock.config.settings import Settings

Judge: TypeAlias = "Callable[[Request], Outcome | Later[Outcome]]"


class Awaited:
    """A judge that may answer later (`begin`), as a coroutine function."""

    __slots__ = ("__self__", "begin")

    def __init__(self, begin: Judge) -> None:
        self.begin = begin
        self.__self__: Settings = begin.__self__  # type: ignore[attr-defined]  # it is a method, as this seems to be

    async def __call__(self, request: Request) -> Outcome:
        outcome = self.begin(request)
        return await outcome_of(outcome, request) if isinstance(outcome, Later) else outcome


async def outcome_of(later: Later[Outcome], request: Request) -> Outcome:
    """Wait for an outcome. Raises `PeerGone` when the client does not want to."""
    fiber = current()
    said: list[Outcome] = []

    def told(outcome: Outcome) -> None:
        said.append(outcome)
        fiber.resume()

    later.told = told
    stream = request.connection.stream
    # Who passes a backend's answer on is told already, and a client of a stream may listen when it has said all.
    watched = stream.on_hangup is None and not request.listens_on
    if watched:
        stream.on_hangup = lambda: fiber.interrupt(PeerGone(ECONNRESET))
    try:
        while not said:
            await pause()
    finally:
        if watched:
            stream.on_hangup = None
        if not said:
            later.drop()
    return said[0]
