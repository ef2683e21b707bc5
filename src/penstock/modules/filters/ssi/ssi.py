"""Server-side includes (nginx: ngx_http_ssi_module)."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from penstock.config.kinds import flag
from penstock.config.on_demand import ON_DEMAND
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, inert
from penstock.config.scope import Scope
from penstock.config.settings import Settings, directive, phase
from penstock.config.variables import VariableTable, variable
from penstock.http.request import Answer, Chunks, Request
from penstock.modules.filters.bodies import DerivedBody, pieces
from penstock.modules.filters.media_types import listed, types_directive
from penstock.modules.filters.ssi.commands import Scanner
from penstock.modules.filters.ssi.page import CONTEXT, TIME_FORMAT, Page
from penstock.plan import phases

PAGE = "ngx_http_ssi_module.html"


class Ssi(Settings):
    """Commands in answers of the given types are carried out; what they include is asked of this server itself."""

    enabled: bool = directive("ssi", where=HTTP_LEVELS | IF_LOCATION, takes=flag, default=False, nginx=PAGE)
    silent: bool = directive("ssi_silent_errors", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)
    types: frozenset[str] = types_directive("ssi_types", PAGE)
    keep_last_modified: bool = directive(
        "ssi_last_modified", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE
    )

    variables: VariableTable

    def finish(self, scope: Scope) -> None:
        self.variables = scope.compilation.variables

    @phase(phases.HEADERS, when=lambda self: self.enabled)
    def process(self, request: Request, answer: Answer) -> None:
        """Put the page that is made of the commands in place of the text."""
        if answer.length == 0 or answer.special or answer.upgraded is not None or not listed(self.types, answer):
            return
        answer.length = None
        answer.allow_ranges = False
        answer.drop("accept-ranges")
        if not self.keep_last_modified:
            answer.last_modified = answer.etag = None
        elif answer.etag is not None and not answer.etag.startswith("W/"):
            answer.etag = f"W/{answer.etag}"
        page = Page(request, self.variables.look_up, silent=self.silent)
        request.context(CONTEXT, lambda: page)
        answer.body = made = DerivedBody(_made(page, pieces(answer.body)))
        request.hold(made)


async def _made(page: Page, source: Chunks) -> AsyncGenerator[bytes, None]:
    scanner = Scanner()
    async for piece in source:
        for part in scanner.feed(piece.decode("latin-1")):
            async with aclosing(page.render(part)) as parts:
                async for made in parts:
                    yield made
    rest = scanner.end()
    if rest:
        async with aclosing(page.render(rest)) as parts:
            async for made in parts:
                yield made


def _format(request: Request) -> str:
    page = None if request.contexts is None else request.contexts.get(CONTEXT)
    return TIME_FORMAT if page is None else page.time_format


def _date(request: Request, broken_down: time.struct_time) -> str:
    form = _format(request)
    return str(int(time.time())) if form == "%s" else time.strftime(form, broken_down)


@variable("date_local")
def date_local(request: Request) -> str:
    """The time of day here, as `config timefmt` says."""
    return _date(request, time.localtime())


@variable("date_gmt")
def date_gmt(request: Request) -> str:
    """The time of day in Greenwich."""
    return _date(request, time.gmtime())


inert(
    "ssi_min_file_chunk",
    "ssi_value_length",
    "ssi_ignore_recycled_buffers",
    where=HTTP_LEVELS,
    reason="text goes through memory in bounded pieces",
    nginx=PAGE,
    module="ssi",
)


# Pages ask for variables by names that stand in no configuration.
ON_DEMAND.bring_variables()
