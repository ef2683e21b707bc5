"""Asks, while a WebSocket lasts, whether its client may still have it: `websocket_reauth`."""

from __future__ import annotations

from random import random
from typing import TYPE_CHECKING, Any

from penstock.http.errors import BadMessage
from penstock.http.request import Request
from penstock.modules.access.auth_request import NOT_ITS_CONCERN
from penstock.modules.filters.bodies import pieces
from penstock.net.errors import NetError
from penstock.net.fiber import Fiber
from penstock.observe.errorlog import ERROR, INFO, report
from penstock.server.finish import finish
from penstock.server.subrequest import Shadow, ask
from penstock.websocket.close_reasons import Why

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.server.websocket.session import Conversation

EARLIER = 0.1
"""The share of the interval that a question may come earlier: those that came together shall not ask together."""

SOON = 30.0
"""Seconds after which a question is asked again that nobody could answer, at most."""

FAILURES = 3
"""So many in a row are too many."""

WORTH_READING = 65536
UNAVAILABLE = 1011


class Reauth:
    """The question about one conversation. `due` is when it is to be asked, in monotonic seconds.

    What the subrequest needs of the handshake is kept: its head, and where it came from.
    """

    __slots__ = ("_every", "_failures", "_fiber", "_request", "_talk", "due")

    def __init__(self, talk: Conversation, request: Request, loop: Loop) -> None:
        connection = request.connection
        kept = Request(Shadow(connection, loop), request.head, request.server)
        kept.uri, kept.args, kept.host = request.uri, request.args, request.host
        kept.method = request.method
        kept.location = request.location
        kept.captures, kept.variables = request.captures, request.variables
        kept.started = request.started
        self._request: Any = kept  # a `Request` until the end, None afterwards
        self._talk: Conversation | None = talk
        self._every = talk.terms.reauth
        self._failures = 0
        self._fiber: Fiber[None] | None = None
        self.due = 0.0
        self._rest(connection.service.timers.now)

    def begin(self) -> None:
        """Ask. It takes its time; meanwhile the conversation goes on."""
        self.due = float("inf")
        self._fiber = fiber = Fiber(self._ask())
        fiber.resume()

    def cancel(self) -> None:
        """Ask no more: the conversation is over."""
        self._talk = None
        fiber, self._fiber = self._fiber, None
        if fiber is not None and not fiber.done:
            fiber.cancel()

    async def _ask(self) -> None:
        status = 0
        try:
            status = await self.ask_now()
        finally:
            # Whatever went wrong, it is a question without an answer.
            self._judge(status)

    async def ask_now(self) -> int:
        """Ask, and return the status of the answer, 0 where there was none."""
        request = self._request
        talk = self._talk
        assert talk is not None
        status = 0
        inner: Request | None = None
        request.cached = {}
        try:
            inner = await ask(request, talk.terms.reauth_uri, "", NOT_ITS_CONCERN)
            if inner is not None and inner.answer is not None:
                status = inner.answer.status
                if inner.answer.from_upstream:
                    await _read_a_little(inner)
        except (NetError, BadMessage) as error:
            report(request, ERROR, f"websocket_reauth: {error}")
        finally:
            if inner is not None:
                finish(inner)
        return status

    def _judge(self, status: int) -> None:
        talk, request = self._talk, self._request
        self._fiber = None
        if talk is None:
            return
        now = request.connection.service.timers.now
        if 200 <= status < 300:
            self._failures = 0
            self._rest(now)
        elif status in (401, 403):
            report(request, INFO, f"websocket_reauth: {talk.terms.reauth_uri} says {status}, closing the tunnel")
            talk.end(Why.REAUTH, talk.terms.reauth_code, text="no longer authorized", offender=talk.client)
            return
        else:
            self._failures += 1
            report(request, ERROR, f"websocket_reauth: unexpected status {status} from {talk.terms.reauth_uri}")
            if self._failures >= FAILURES:
                talk.end(Why.REAUTH, UNAVAILABLE, offender=talk.client)
                return
            self.due = now + min(SOON, self._every)
        talk.plan()

    def _rest(self, now: float) -> None:
        self.due = now + self._every * (1 - EARLIER * random())


async def _read_a_little(inner: Request) -> None:
    """A backend's connection can be used again when its answer has been read to the end."""
    assert inner.answer is not None
    count = 0
    async for piece in pieces(inner.answer.body):
        count += len(piece)
        if count > WORTH_READING:
            return
