"""Locations that want a protocol Penstock does not speak: `fastcgi_pass`, `grpc_pass`.

The rest of such a configuration runs, so they are accepted, with a warning at start. Their locations answer 502:
serving the files in place of what was to be run would show a program's source to everybody.
"""

from __future__ import annotations

from penstock.config.kinds import custom
from penstock.config.registry import IF_LOCATION, LIMIT_EXCEPT, LOCATION
from penstock.config.scope import Call
from penstock.config.settings import INNER, Settings, directive, phase
from penstock.http.request import Outcome, Request, special
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases

ADVICE = {
    "fastcgi_pass": "FastCGI is not spoken here; keep an nginx for PHP beside Penstock and proxy_pass to it",
    "grpc_pass": "gRPC needs HTTP/2 to the backend, which is not there yet",
}
REASON = "the protocol is not spoken: requests to the location are answered with 502, and the log says so"
WHERE = LOCATION | IF_LOCATION | LIMIT_EXCEPT


def _unspoken(call: Call) -> str:
    what = f'requests to a location with "{call.name}" will be answered with 502'
    call.compilation.problems.warn(what, call.directive.span, hint=ADVICE[call.name])
    return call.name


class Unspoken(Settings):
    """What a location would have passed its requests to."""

    fastcgi: str | None = directive(
        "fastcgi_pass",
        where=WHERE,
        takes=custom(_unspoken, syntax="address"),
        inherit=INNER,
        nginx="ngx_http_fastcgi_module.html",
        inert=REASON,
    )
    grpc: str | None = directive(
        "grpc_pass",
        where=WHERE,
        takes=custom(_unspoken, syntax="address"),
        inherit=INNER,
        nginx="ngx_http_grpc_module.html",
        inert=REASON,
    )

    @phase(phases.CONTENT, when=lambda self: self.fastcgi or self.grpc)
    def refuse(self, request: Request) -> Outcome:
        """502, and why."""
        report(request, ERROR, ADVICE[self.fastcgi or self.grpc or ""])
        return special(502)
