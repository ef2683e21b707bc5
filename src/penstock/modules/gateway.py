"""What `uwsgi_pass` and `scgi_pass` have in common: an address, parameters, and an answer in the manner of CGI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, directive, directives
from penstock.config.source import Span
from penstock.config.variables import Template
from penstock.modules.params import Param, Params, param
from penstock.modules.passing import Passing
from penstock.modules.proxy_targets import Targets
from penstock.modules.upstream import upstreams_of
from penstock.upstream.cgi import CGI
from penstock.upstream.target import Target, parse_target
from penstock.upstream.wire import Wire

SCHEMES = {"uwsgi": ("uwsgi://", "suwsgi://"), "scgi": ("scgi://",)}
"""By the prefix of a module's directives; the first is meant where none is written."""


@dataclass(frozen=True, slots=True)
class GatewayPass:
    """A `uwsgi_pass` or `scgi_pass` as written: `target`, or only a `template` where it has variables."""

    target: Target | None
    template: Template
    span: Span


def _pass(call: Call) -> GatewayPass:
    argument = call.args[0]
    made = call.template(argument)
    if made.literal is None:
        return GatewayPass(None, made, argument.span)
    try:
        return GatewayPass(parse_target(argument.text, SCHEMES[call.name.removesuffix("_pass")]), made, argument.span)
    except ValueError as error:
        raise call.fail(str(error), argument) from None


class Gateway(Passing, abstract=True):
    """Requests passed on as parameters and a body."""

    wire: ClassVar[Wire] = CGI
    hides: ClassVar[tuple[str, ...]] = ("Status",)

    target: GatewayPass | None = directive(
        "*_pass",
        where=LOCATION | IF_LOCATION | LIMIT_EXCEPT,
        takes=custom(_pass, syntax="[protocol://]address"),
        inherit=INNER,
    )
    given: tuple[Param, ...] = directives(
        "*_param",
        where=HTTP_LEVELS,
        takes=custom(param, least=2, most=3, syntax="parameter value [if_not_empty]"),
    )

    def finish(self, scope: Scope) -> None:
        super().finish(scope)
        self.params = Params(self.given, pass_headers=self.pass_request_headers)
        target = self.target
        if target is not None:
            schemes = SCHEMES[self.prefix]
            upstreams = upstreams_of(scope.compilation)
            self.targets = Targets(target.target, target.template, upstreams, target.span, schemes=schemes)
