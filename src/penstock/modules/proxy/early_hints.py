"""Interim answers of backends, passed on: `early_hints` (nginx: ngx_http_core_module; RFC 8297)."""

from __future__ import annotations

from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS
from penstock.config.settings import Settings, added, directive
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.modules.core.http_core import PAGE


class EarlyHints(Settings):
    """103 is passed on where one of these is neither empty nor "0"."""

    conditions: tuple[Template, ...] = directive(
        "early_hints",
        where=HTTP_LEVELS,
        takes=custom(lambda call: tuple(call.template(word) for word in call.args), most=None, syntax="string ..."),
        default=(),
        nginx=PAGE,
        again=added,
    )


async def pass_hints(request: Request, headers: list[tuple[str, str]]) -> None:
    """Send a 103 to the client, if it may have one. Raises what the net floor raises."""
    if request.parent is not None:
        return
    location = request.location
    if not any(each.evaluate(request) not in ("", "0") for each in location[EarlyHints].conditions):
        return
    await request.connection.inform(request, 103, headers)
