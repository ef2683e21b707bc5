"""What `fastcgi_pass`, `uwsgi_pass` and `scgi_pass` share: an address, parameters, an answer in the manner of CGI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from penstock.config.addresses import bracket_hint
from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, directive, directives
from penstock.config.source import Span
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.modules.cache.lookup import lookup_of
from penstock.modules.gateways.params import SHORTEN, Param, Params, param
from penstock.modules.gateways.temp_paths import gateway_folder
from penstock.modules.proxy.caching import Caching
from penstock.modules.proxy.kept_head import missing
from penstock.modules.proxy.pass_request import Prepared
from penstock.modules.proxy.targets import Destination, Targets
from penstock.modules.upstream.upstream import upstreams_of
from penstock.modules.websocket.guard import Sent, sent_as_parameters
from penstock.modules.websocket.websocket import asks
from penstock.upstream.exchange.cgi import CGI
from penstock.upstream.exchange.target import Target, parse_target
from penstock.upstream.exchange.wire import BackendProtocol

SCHEMES = {
    "fastcgi": ("fastcgi://",),
    "grpc": ("grpc://", "grpcs://"),
    "memcached": ("memcached://",),
    "scgi": ("scgi://",),
    "uwsgi": ("uwsgi://", "suwsgi://"),
}
"""By the prefix of a module's directives; the first is meant where none is written."""
BARE = ("fastcgi_pass", "memcached_pass", "scgi_pass")
"""Directives whose addresses have no scheme."""


@dataclass(frozen=True, slots=True)
class GatewayPass:
    """A `fastcgi_pass` or one of its kin as written: `target`, or only a `template` where it has variables."""

    target: Target | None
    template: Template
    span: Span


def gateway_pass(call: Call) -> GatewayPass:
    """Read where a `*_pass` of this room leads."""
    argument = call.args[0]
    schemes = SCHEMES[call.name.removesuffix("_pass")]
    made = call.template(argument)
    if made.literal is None:
        return GatewayPass(None, made, argument.span)
    if call.name in BARE and "://" in argument.text:
        hint = f"leave out {argument.text.partition('://')[0]}://"
        raise call.fail(f'invalid host in upstream "{argument.text}"', argument, hint=hint)
    try:
        return GatewayPass(parse_target(argument.text, schemes), made, argument.span)
    except ValueError as error:
        raise call.fail(str(error), argument, hint=bracket_hint(argument.text)) from None


class Gateway(Caching, abstract=True):
    """Requests passed on as parameters and a body."""

    wire: ClassVar[BackendProtocol] = CGI
    hides: ClassVar[tuple[str, ...]] = ("Status",)
    lacks: ClassVar[frozenset[str]] = frozenset({"temp_path"})

    target: GatewayPass | None = directive(
        "*_pass",
        where=LOCATION | IF_LOCATION,
        takes=custom(gateway_pass, syntax="[protocol://]address"),
        inherit=INNER,
    )
    given: tuple[Param, ...] = directives(
        "*_param",
        where=HTTP_LEVELS,
        takes=custom(param, least=2, most=3, syntax="parameter value [if_not_empty]"),
    )

    def finish(self, scope: Scope) -> None:
        """Compile the parameters, once for what is passed on and once for what fills a cache, and the target."""
        self.temp_path = gateway_folder(scope, self.prefix)
        super().finish(scope)
        self.params = Params(self.given, pass_headers=self.pass_request_headers)
        self.kept_params = self.params
        if self.caches:
            given = {each.name.removeprefix("HTTP_").replace("_", "-").lower() for each in self.given}
            ours = [
                Param("HTTP_" + each.name.translate(SHORTEN), each.value, if_not_empty=True)
                for each in missing(scope.compilation, given)
            ]
            self.kept_params = Params((*self.given, *ours), pass_headers=self.pass_request_headers)
        self.judges = self.guard is not None
        target = self.target
        if target is not None:
            schemes = SCHEMES[self.prefix]
            upstreams = upstreams_of(scope.compilation)
            self.targets = Targets(target.target, target.template, upstreams, target.span, schemes=schemes)

    def parameters(self, request: Request) -> Iterator[tuple[str, str]]:
        """Return the parameters of a request as it goes out."""
        plain = self.goes_plain(request) or (self.carries_websockets and not asks(request))
        lookup = lookup_of(request) if self.caches else None
        params = self.params if lookup is None or not lookup.keeps else self.kept_params
        return params.of(request, plain=plain)

    def prepare_kept(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        """Prepare a request whose answer is to be kept. Raises `ProxyError`."""
        return self.prepare(request, there, length, chunked=chunked)

    def sent(self, request: Request, prepared: Prepared) -> Sent:
        """Do what `Passing.sent` does."""
        return sent_as_parameters(self.parameters(request))
