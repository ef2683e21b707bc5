"""Passing requests to SCGI servers (nginx: ngx_http_scgi_module), protocol upgrades included."""

from __future__ import annotations

from typing import ClassVar

from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, directive, directives
from penstock.http.request import Request
from penstock.modules.params import Param, Params, param
from penstock.modules.passing import Passing, Prepared, declare_inert
from penstock.modules.proxy_targets import Destination, Targets
from penstock.modules.upstream import upstreams_of
from penstock.modules.uwsgi import GatewayPass, gateway_pass
from penstock.upstream.cgi import CGI
from penstock.upstream.wire import Wire

PAGE = "ngx_http_scgi_module.html"


def _pass(call: Call) -> GatewayPass:
    return gateway_pass(call, ("scgi://",))


class Scgi(Passing, prefix="scgi"):
    """Requests passed on as SCGI: a netstring of parameters, then the body."""

    prefix: ClassVar[str] = "scgi"
    page: ClassVar[str] = PAGE
    wire: ClassVar[Wire] = CGI

    target: GatewayPass | None = directive(
        "scgi_pass",
        where=LOCATION | IF_LOCATION | LIMIT_EXCEPT,
        takes=custom(_pass, syntax="address"),
        inherit=INNER,
        nginx=PAGE,
    )
    given: tuple[Param, ...] = directives(
        "scgi_param",
        where=HTTP_LEVELS,
        takes=custom(param, least=2, most=3, syntax="parameter value [if_not_empty]"),
        nginx=PAGE,
    )

    def finish(self, scope: Scope) -> None:
        super().finish(scope)
        self.params = Params(self.given, pass_headers=self.pass_request_headers)
        if self.target is not None:
            target = self.target
            self.targets = Targets(
                target.target,
                target.template,
                upstreams_of(scope.compilation),
                target.span,
                schemes=("scgi://",),
            )

    def prepare(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        pairs = [("CONTENT_LENGTH", str(length or 0)), *self.params.of(request)]
        if not any(name == "SCGI" for name, _ in pairs):
            pairs.insert(1, ("SCGI", "1"))
        packet = "".join(f"{name}\0{value}\0" for name, value in pairs).encode("latin-1")
        head = b"%d:%b," % (len(packet), packet)
        return Prepared(there.group, head, request.method, (there.target.scheme, ""))


Scgi.pass_on.auto_redirect = True
declare_inert("scgi", PAGE)
