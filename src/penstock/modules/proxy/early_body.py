"""Bodies that are read before anything is decided: `client_body_early_read` (nginx: ngx_http_core_module, 1.31.5).

What is decided by `$request_body`, in a map or an `if`, can be so from the first phase on.
"""

from __future__ import annotations

from penstock.config.kinds import custom
from penstock.config.registry import HTTP, SERVER
from penstock.config.scope import Scope
from penstock.config.settings import Settings, added, directive, phase
from penstock.config.variables import Template
from penstock.http.request import Outcome, Request, special
from penstock.modules.core.client_body import body_folder, not_kept, read_whole
from penstock.modules.core.http_core import PAGE, HttpCore
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases
from penstock.upstream.exchange.temp_file import CannotKeep


class EarlyBody(Settings):
    """A body is read at once where one of these is neither empty nor "0"."""

    conditions: tuple[Template, ...] = directive(
        "client_body_early_read",
        where=HTTP | SERVER,
        takes=custom(lambda call: tuple(call.template(word) for word in call.args), most=None, syntax="string ..."),
        default=(),
        nginx=PAGE,
        again=added,
    )

    def finish(self, scope: Scope) -> None:
        if self.conditions:
            self.body_folder = body_folder(scope)

    @phase(phases.POST_READ, when=lambda self: self.conditions)
    async def read(self, request: Request) -> Outcome:
        """Read the whole body, within the server's `client_max_body_size`."""
        body = request.body
        if body.length == 0 or not any(each.evaluate(request) not in ("", "0") for each in self.conditions):
            return None
        most = request.location[HttpCore].client_max_body_size
        if body.length is not None and body.length > most > 0:
            report(request, ERROR, f"client intended to send too large body: {body.length} bytes")
            return special(413, close=True)
        try:
            await read_whole(request, self.body_folder)
        except CannotKeep as error:
            not_kept(request, error)
            return special(500)
        return None
