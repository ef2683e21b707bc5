"""What has begun on the straight way, as the general transaction takes it over."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.http.request import Outcome
    from penstock.net.stream import Stream


def giving(begun: Stream | BaseException) -> Callable[[], Stream]:
    """Give a stream, or raise what came instead of it, once: no frame that an error has passed shall lead to it."""
    left = [begun]

    def give() -> Stream:
        found = left.pop()
        if not isinstance(found, BaseException):
            return found
        try:
            raise found
        finally:
            del found

    return give


async def told(outcome: Outcome) -> Outcome:
    """Give what a judge has said."""
    return outcome


async def raised(error: BaseException) -> Outcome:
    """Raise an error where others are dealt with."""
    try:
        raise error
    finally:
        del error


async def sent(unsent: Coroutine[Any, Any, None]) -> Outcome:
    """Wait until an answer has gone. There is none left to be sent then."""
    await unsent
    return None
