"""The search for a backend that goes on with a WebSocket: several tries, with pauses that grow.

Authorization is asked for again before each try, where `websocket_reauth` stands. The peer that was lost is tried last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.modules.websocket.redial import RedialNote
from penstock.net.fiber import Fiber
from penstock.server.redial.origin import KeptHandshake, NotDialled
from penstock.websocket.redial.schedule import moment

if TYPE_CHECKING:
    from penstock.http.request import Attempt
    from penstock.net.loop import Loop
    from penstock.server.websocket.reauth import Reauth
    from penstock.upstream.exchange.upgrade import Parts, Upgrade
    from penstock.websocket.redial.terms import RedialTerms

REFUSED = (401, 403)


class NotAuthorized(Exception):
    """Raised where the client may have its WebSocket no more."""

    expected = True


class PeerSearch:
    """`avoided` are peers that are tried last, or never where `strict`. One of `found(upgrade)`, `failed(words)` and
    `refused()` (the client is not authorized any more) is called, once, unless it is cancelled. `attempts` gets every
    peer that was tried."""

    __slots__ = (
        *("_attempts", "_avoided", "_fiber", "_loop", "_note", "_origin", "_reauth", "_strict", "_terms", "tries"),
    )

    def __init__(
        self,
        origin: KeptHandshake,
        loop: Loop,
        terms: RedialTerms,
        note: RedialNote,
        avoided: frozenset[Parts],
        attempts: list[Attempt],
        reauth: Reauth | None,
        *,
        strict: bool,
    ) -> None:
        self._origin = origin
        self._loop = loop
        self._terms = terms
        self._note = note
        self._avoided = avoided
        self._attempts = attempts
        self._reauth = reauth
        self._strict = strict
        self._fiber: Fiber[None] | None = None
        self.tries = 0

    def begin(
        self, found: Callable[[Upgrade], None], failed: Callable[[str], None], refused: Callable[[], None]
    ) -> None:
        """Begin to search."""
        self._fiber = fiber = Fiber(self._search(found, failed, refused))
        fiber.resume()

    def cancel(self) -> None:
        """Search no more."""
        fiber, self._fiber = self._fiber, None
        if fiber is not None and not fiber.done:
            fiber.cancel()

    async def _search(
        self, found: Callable[[Upgrade], None], failed: Callable[[str], None], refused: Callable[[], None]
    ) -> None:
        terms = self._terms
        timers = self._origin.service.timers
        began = timers.now
        words = ""
        for number in range(terms.tries):
            pause = began + moment(number, terms.tries, terms.timeout) - timers.now
            if pause > 0:
                await asyncio.sleep(pause)
            self.tries += 1
            try:
                await self._ask()
                upgrade = await self._dial()
            except NotDialled as error:
                words = str(error)
                if error.final:
                    break
                continue
            except NotAuthorized:
                refused()
                return
            found(upgrade)
            return
        failed(words)

    async def _ask(self) -> None:
        """Ask whether the client may still. Raises `NotAuthorized`, and `NotDialled` where nobody could say."""
        if self._reauth is None:
            return
        status = await self._reauth.ask_now()
        if status in REFUSED:
            raise NotAuthorized
        if not 200 <= status < 300:
            raise NotDialled(f"websocket_reauth could not be asked ({status})")

    async def _dial(self) -> Upgrade:
        origin, note, attempts = self._origin, self._note, self._attempts
        try:
            return await origin.dial(self._loop, note, self._avoided, attempts, strict=self._strict)
        except NotDialled as error:
            if error.final or self._strict:
                raise
        # Nobody else does: who was lost may be there again.
        return await origin.dial(self._loop, note, frozenset(), attempts, strict=False)
