"""Another path once access is granted: `internal_redirect` (nginx: ngx_http_internal_redirect_module)."""

from __future__ import annotations

from penstock.config.kinds import template
from penstock.config.registry import LOCATION, SERVER
from penstock.config.settings import NOT, Settings, directive, phase
from penstock.config.variables import Template
from penstock.http.request import Outcome, Redirect, Request
from penstock.plan import phases

PAGE = "ngx_http_internal_redirect_module.html"


class InternalRedirect(Settings):
    """Limits and access are asked before, unlike for a `rewrite`: the request goes on with this path, or in a named
    location. An empty text changes nothing. No level inherits it.
    """

    to: Template | None = directive(
        "internal_redirect", where=SERVER | LOCATION, takes=template, inherit=NOT, nginx=PAGE
    )

    @phase(phases.PRECONTENT, when=lambda self: self.to)
    def go(self, request: Request) -> Outcome:
        """Go on elsewhere."""
        assert self.to is not None
        uri = self.to.evaluate(request)
        if not uri:
            return None
        if uri.startswith("@"):
            return Redirect(name=uri)
        path, _, args = uri.partition("?")
        return Redirect(path, args)
