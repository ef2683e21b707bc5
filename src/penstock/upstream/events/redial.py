"""A stream of events goes on with another answer, where its backend is lost: `event_stream_redial`.

The request is sent again as it was, with `Last-Event-ID` as the stream has told it last; the balancer chooses the
backend. What the application then sends is passed on as it comes: that nothing is missing or comes twice between the
two answers is the application's part, as it is when a browser comes back by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING, Protocol

from penstock.net.errors import NetError
from penstock.upstream.errors import ClientGone, ProxyError

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.upstream.events.terms import EventRedial
    from penstock.upstream.exchange.incoming import Incoming
    from penstock.upstream.exchange.upgrade import Parts

NOBODY: frozenset[Parts] = frozenset()
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
"""Seconds before the second try, twice as long before each further one, and at most. Half of each is by chance."""


class NotContinued(Exception):
    """Raised for an answer that does not go on where the last one broke off; the text says what it is instead."""


class AskAgain(Protocol):
    """Sends a request of an event stream again."""

    async def __call__(
        self, request: Request, last_id: str, count: int, why: str, avoided: frozenset[Parts]
    ) -> tuple[Incoming, bytes]:
        """Return the answer's body, and what of it came with the head. With `avoided`, only others are asked, and who
        was asked before still serves. Raises `ProxyError`, `NotContinued`."""
        ...


class Redialler:
    """Decides whether another answer is asked for, and asks. `gave_up`: it has tried in vain."""

    __slots__ = ("_ask", "_count", "_events", "_request", "_tries", "_why", "gave_up", "rule")

    def __init__(self, rule: EventRedial, request: Request, ask: AskAgain) -> None:
        self.rule = rule
        self.gave_up = False
        self._ask = ask
        self._request = request
        self._count = 0
        """Answers that have followed the first."""
        self._tries = 0
        """Those since the last event."""
        self._events = 0
        self._why = ""

    def may(self, last_id: bytes | None, events: int, *, lost: bool) -> bool:
        """Return whether another answer may follow after `events`. Without an id nobody could say where."""
        self._why = "lost" if lost else "ended"
        if events > self._events:
            self._events = events
            self._tries = 0
        return last_id is not None and (lost or self.rule.ended)

    async def redial(
        self, last_id: bytes, events: int, watch: Callable[[], None]
    ) -> tuple[Incoming, bytes] | None:
        """Ask until there is an answer that goes on; None where none can be had. What the client's side raises comes
        out: `watch` sees to that while nobody is asked, and is called before each wait."""
        rule = self.rule
        clock = self._request.connection.service.timers
        until = clock.now + rule.window
        while self._tries < rule.tries:
            wait = self._wait()
            if clock.now + wait > until:
                break
            if wait:
                watch()
                await asyncio.sleep(wait)
            self._tries += 1
            try:
                found = await self._send(last_id, self._why, NOBODY)
            except ClientGone:
                raise
            except (ProxyError, NetError):
                continue
            except NotContinued:
                break
            return found
        self.gave_up = True
        return None

    async def ask_others(self, last_id: bytes, avoided: frozenset[Parts]) -> tuple[Incoming, bytes] | None:
        """Ask for an answer of somebody else, who is at none of these addresses, while there is a backend; None where
        none can be had. Raises `ClientGone`."""
        try:
            return await self._send(last_id, "moved", avoided)
        except ClientGone:
            raise
        except (ProxyError, NetError, NotContinued):
            return None

    async def _send(self, last_id: bytes, why: str, avoided: frozenset[Parts]) -> tuple[Incoming, bytes]:
        found = await self._ask(self._request, last_id.decode("latin-1"), self._count + 1, why, avoided)
        self._count += 1
        return found

    def _wait(self) -> float:
        """Return how long to wait before the next try. Even the first is not made by all clients at once."""
        longest = FIRST_WAIT if not self._tries else min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._tries, 10))
        return longest * (1 + random()) / 2 if self._tries else longest * random()
