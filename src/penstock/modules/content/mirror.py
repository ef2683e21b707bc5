"""Copies of requests for another backend, whose answers nobody waits for (nginx: ngx_http_mirror_module)."""

from __future__ import annotations

from penstock.config.kinds import custom, flag
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, directives, phase
from penstock.http.request import Outcome, Request, special
from penstock.modules.core.client_body import body_folder, not_kept, read_whole
from penstock.plan import phases
from penstock.upstream.exchange.temp_file import CannotKeep

PAGE = "ngx_http_mirror_module.html"


def _uri(call: Call) -> str | None:
    text = call.args[0].text
    others: list[str | None] = call.scope.own.get(Mirror, {}).get("uris", [])
    if (text == "off" and others) or None in others:
        raise call.fail('"mirror" directive is duplicate', hint='"off" stands alone')
    return None if text == "off" else text


class Mirror(Settings):
    """Each request goes to these paths of the same server too, with its method, query and body."""

    uris: tuple[str | None, ...] = directives(
        "mirror", where=HTTP_LEVELS, takes=custom(_uri, syntax="uri | off"), nginx=PAGE, shown="off"
    )
    with_body: bool = directive(
        "mirror_request_body",
        where=HTTP_LEVELS,
        takes=flag,
        default=True,
        nginx=PAGE,
        doc="The body is read wholly before anything is passed on.",
    )

    def finish(self, scope: Scope) -> None:
        if any(self.uris) and self.with_body:
            self.body_folder = body_folder(scope)

    @phase(phases.PRECONTENT, when=lambda self: any(self.uris))
    async def copy(self, request: Request) -> Outcome:
        """Send the copies on their way."""
        if request.parent is not None:
            return None
        if self.with_body and request.body.length != 0:
            try:
                await read_whole(request, self.body_folder)
            except CannotKeep as error:
                not_kept(request, error)
                return special(500)
        for uri in self.uris:
            if uri is not None:
                request.connection.service.mirror(request, uri, request.args)
        return None
