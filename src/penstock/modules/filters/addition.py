"""Text before and after an answer: `add_before_body`, `add_after_body` (nginx: ngx_http_addition_module)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from penstock.config.kinds import text
from penstock.config.registry import HTTP_LEVELS
from penstock.config.settings import Settings, directive, phase
from penstock.http.etag import weakened
from penstock.http.request import Answer, Body, Request
from penstock.modules.filters.bodies import DerivedBody, pieces
from penstock.modules.filters.media_types import listed, types_directive
from penstock.plan import phases

PAGE = "ngx_http_addition_module.html"


class Addition(Settings):
    """Paths of this server whose answers are put around a body; an empty path stands for none."""

    before: str = directive("add_before_body", where=HTTP_LEVELS, takes=text, default="", nginx=PAGE)
    after: str = directive("add_after_body", where=HTTP_LEVELS, takes=text, default="", nginx=PAGE)
    types: frozenset[str] = types_directive("addition_types", PAGE)

    @phase(phases.HEADERS, when=lambda self: self.before or self.after)
    def put_around(self, request: Request, answer: Answer) -> None:
        """Put what these paths answer around the body."""
        if (
            answer.status != 200
            or request.parent is not None
            or answer.upgraded is not None
            or not listed(self.types, answer)
        ):
            return
        answer.length = None
        answer.allow_ranges = False
        answer.drop("accept-ranges")
        if answer.etag is not None:
            answer.etag = weakened(answer.etag)
        if request.method != "HEAD":
            answer.body = made = DerivedBody(self._made(request, answer.body))
            request.hold(made)

    async def _made(self, request: Request, body: Body) -> AsyncGenerator[bytes, None]:
        if self.before:
            async with aclosing(_answer(request, self.before)) as answer:
                async for piece in answer:
                    yield piece
        async for piece in pieces(body):
            yield piece
        if self.after:
            async with aclosing(_answer(request, self.after)) as answer:
                async for piece in answer:
                    yield piece


async def _answer(request: Request, uri: str) -> AsyncGenerator[bytes, None]:
    """What this server itself answers to a path."""
    service = request.connection.service
    asked = await service.subrequest(request, uri, "")
    if asked is None or asked.answer is None:
        return
    try:
        async for piece in pieces(asked.answer.body):
            yield piece
    finally:
        service.end_subrequest(asked)
