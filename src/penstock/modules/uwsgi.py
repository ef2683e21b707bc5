"""Passing requests to uwsgi servers (nginx: ngx_http_uwsgi_module), over TLS and with protocol upgrades too."""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack
from typing import ClassVar

from penstock.config.kinds import custom, text, word
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, directive, directives
from penstock.config.source import Span
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.modules.params import Param, Params, param
from penstock.modules.passing import Passing, Prepared, declare_inert
from penstock.modules.proxy_secure import ProxySecure
from penstock.modules.proxy_targets import Destination, Targets
from penstock.modules.upstream import upstreams_of
from penstock.upstream.cgi import CGI
from penstock.upstream.errors import ProxyError, Side
from penstock.upstream.target import Target, parse_target
from penstock.upstream.wire import Wire

PAGE = "ngx_http_uwsgi_module.html"
LARGEST = 65535
"""Bytes of a packet: its size has two."""


@dataclass(frozen=True, slots=True)
class GatewayPass:
    """A `uwsgi_pass` or `scgi_pass` as written: `target`, or only a `template` where it has variables."""

    target: Target | None
    template: Template
    span: Span


def gateway_pass(call: Call, schemes: tuple[str, ...]) -> GatewayPass:
    """The address to pass to. The first scheme is meant where none is written."""
    argument = call.args[0]
    made = call.template(argument)
    if made.literal is None:
        return GatewayPass(None, made, argument.span)
    try:
        return GatewayPass(parse_target(argument.text, schemes), made, argument.span)
    except ValueError as error:
        raise call.fail(str(error), argument) from None


def _pass(call: Call) -> GatewayPass:
    return gateway_pass(call, ("uwsgi://", "suwsgi://"))


def _byte(text: str) -> int:
    if not text.isdecimal() or int(text) > 255:
        raise ValueError("a number from 0 to 255")
    return int(text)


class Uwsgi(ProxySecure, Passing, prefix="uwsgi"):
    """Requests passed on in uwsgi's binary form: a packet of parameters, then the body."""

    prefix: ClassVar[str] = "uwsgi"
    page: ClassVar[str] = PAGE
    wire: ClassVar[Wire] = CGI

    target: GatewayPass | None = directive(
        "uwsgi_pass",
        where=LOCATION | IF_LOCATION | LIMIT_EXCEPT,
        takes=custom(_pass, syntax="[protocol://]address"),
        inherit=INNER,
        nginx=PAGE,
    )
    given: tuple[Param, ...] = directives(
        "uwsgi_param",
        where=HTTP_LEVELS,
        takes=custom(param, least=2, most=3, syntax="parameter value [if_not_empty]"),
        nginx=PAGE,
    )
    modifier1: int = directive("uwsgi_modifier1", where=HTTP_LEVELS, takes=word(_byte, "number"), default=0, nginx=PAGE)
    modifier2: int = directive("uwsgi_modifier2", where=HTTP_LEVELS, takes=word(_byte, "number"), default=0, nginx=PAGE)

    string: str = directive("uwsgi_string", where=HTTP_LEVELS, takes=text, default="")
    """More bytes at the end of the packet; nginx has it without a word in its documentation."""

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
                schemes=("uwsgi://", "suwsgi://"),
            )
            self.finish_secure(scope)

    def prepare(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        pairs = []
        for name, value in self.params.of(request):
            key, text = name.encode("latin-1"), value.encode("latin-1")
            if len(key) > LARGEST or len(text) > LARGEST:
                raise _too_large()
            pairs.append(pack("<H", len(key)) + key + pack("<H", len(text)) + text)
        packet = b"".join(pairs) + self.string.encode("latin-1")
        if len(packet) > LARGEST:
            raise _too_large()
        head = pack("<BHB", self.modifier1, len(packet), self.modifier2) + packet
        target = there.target
        secure = self.secure_for(request, target) if target.secure else None
        return Prepared(there.group, head, request.method, (target.scheme, ""), secure)


def _too_large() -> ProxyError:
    return ProxyError(Side.CLIENT, 400, "", "uwsgi request is too large: the packet of parameters holds 65535 bytes")


Uwsgi.pass_on.auto_redirect = True
declare_inert("uwsgi", PAGE)
