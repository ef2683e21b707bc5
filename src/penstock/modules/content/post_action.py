"""What is done after a request, whoever asked for it: `post_action` (nginx: ngx_http_core_module, undocumented)."""

from __future__ import annotations

from dataclasses import replace

from penstock.config.kinds import text
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION
from penstock.config.settings import Settings, directive, phase
from penstock.http.request import Request
from penstock.plan import phases

OFF = "off"


class PostAction(Settings):
    """Another location that a request goes through when it has ended, with its method and its headers."""

    uri: str | None = directive(
        "post_action",
        where=HTTP_LEVELS | IF_LOCATION,
        takes=replace(text, syntax="uri | @name | off"),
        shown=OFF,
        doc="After the answer the request runs once more for this path, for nobody: to tell a backend how it ended, by "
        "`$status`, `$body_bytes_sent`, `$request_completion`. Not after tunnels.",
    )

    @phase(phases.LOG, when=lambda self: self.uri not in (None, OFF))
    def run(self, request: Request) -> None:
        """Go on to the location, with a request of a client."""
        if request.parent is None and self.uri is not None:
            request.connection.service.mirror(request, self.uri, "", ended=True)
