"""Passing requests to gRPC servers over HTTP/2 (nginx: ngx_http_grpc_module), bodies and trailers as they come."""

from __future__ import annotations

from typing import ClassVar

from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LOCATION, inert
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, directive, directives
from penstock.config.variables import variable
from penstock.http.errors import excerpt
from penstock.http.request import Answer, Request
from penstock.modules.core.error_pages import ErrorPages
from penstock.modules.core.line_values import one_line
from penstock.modules.gateways.gateway import SCHEMES, GatewayPass, gateway_pass
from penstock.modules.proxy.head import SetHeader, build_uri
from penstock.modules.proxy.http2 import ALPN, FieldsTemplate, can_be_named
from penstock.modules.proxy.pass_request import Passing, Prepared
from penstock.modules.proxy.request_line import target_of
from penstock.modules.proxy.secure import ProxySecure
from penstock.modules.proxy.targets import Destination, Targets
from penstock.modules.upstream.upstream import upstreams_of
from penstock.upstream.errors import ProxyError
from penstock.upstream.exchange.wire import BackendProtocol
from penstock.upstream.h2.exchange import Http2Exchange, Http2Prepared
from penstock.upstream.h2.framing import HTTP2

PAGE = "ngx_http_grpc_module.html"
STATUSES = {
    502: (14, "the server can not be reached"),
    503: (14, "the servers are busy"),
    504: (4, "the server did not answer in time"),
}
"""What a failure is in gRPC's terms: UNAVAILABLE, DEADLINE_EXCEEDED; INTERNAL where nothing else is said."""
INTERNAL = (13, "the request can not be passed on")


def _set_header(call: Call) -> SetHeader:
    name, value = call.args
    if not can_be_named(name.text):
        raise call.fail(f'"{excerpt(name.text)}" can not be the name of a header in HTTP/2', name)
    return SetHeader(name.text, one_line(call, value, name.text), value.text == "")


class Grpc(ProxySecure, Passing, prefix="grpc"):
    """Requests passed on to gRPC servers."""

    prefix: ClassVar[str] = "grpc"
    page: ClassVar[str] = PAGE
    wire: ClassVar[BackendProtocol] = HTTP2
    hides: ClassVar[tuple[str, ...]] = ("Date", "Server")
    lacks: ClassVar[frozenset[str]] = frozenset(
        "buffering request_buffering ignore_client_abort pass_request_headers pass_request_body buffers "
        "busy_buffers_size force_ranges limit_rate temp_path max_temp_file_size temp_file_write_size".split()
    )
    exchange = Http2Exchange
    takes_chunks = True
    writes_chunks = False
    negotiates = True
    pass_trailers = True

    target: GatewayPass | None = directive(
        "grpc_pass",
        where=LOCATION | IF_LOCATION,
        takes=custom(gateway_pass, syntax="address"),
        inherit=INNER,
        nginx=PAGE,
        doc="`grpc://` is meant where no scheme is written; `grpcs://` is TLS. Where no server can be reached, a "
        "request of gRPC for which no `error_page` stands is answered in gRPC's own terms.",
    )
    set_headers: tuple[SetHeader, ...] = directives(
        "grpc_set_header",
        where=HTTP_LEVELS,
        takes=custom(_set_header, least=2, most=2, syntax="field value"),
        nginx=PAGE,
        doc="None is inherited once a level has one of its own. An empty value takes a header out.",
    )

    def finish(self, scope: Scope) -> None:
        """Compile the heads, with `TE: trailers`, and the target."""
        self.buffering = self.request_buffering = False
        self.max_temp_file_size = 0
        super().finish(scope)
        headers = self.set_headers
        if not any(each.name.lower() == "te" for each in headers):
            trailers = scope.compilation.variables.template("$grpc_internal_trailers")
            headers = (*headers, SetHeader("TE", trailers, False))
        self.heads = FieldsTemplate(headers, pass_headers=True)
        target = self.target
        if target is None:
            return
        upstreams = upstreams_of(scope.compilation)
        self.targets = Targets(target.target, target.template, upstreams, target.span, schemes=SCHEMES[self.prefix])
        self.finish_secure(scope)

    def prepare(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        """Prepare the fields of an HTTP/2 request. Raises `ProxyError`."""
        target = there.target
        uri = build_uri(request, "", "", variables=False)
        if uri is not request.head.target and not (uri.isprintable() and " " not in uri):
            assert self.target is not None
            uri = target_of(request, uri, self.target.span)
        method = request.method
        pseudo = (":method", method), (":scheme", "https" if there.secure else "http"), (":path", uri)
        return Http2Prepared(
            there.group,
            b"",
            method,
            (target.scheme, uri),
            self.secure_for(request, target, ALPN) if there.secure else None,
            self.heads.render(request, pseudo, there.host_header),
            length,
            self.identity(request, target) if there.secure else (),
        )

    def refused(self, request: Request, error: ProxyError) -> Answer:
        """Make the answer, in gRPC's terms where it is asked for in them."""
        status = error.status
        asked = request.head.fields.get("content-type", "").lower()
        if not asked.startswith("application/grpc") or request.location[ErrorPages].find(status) is not None:
            return super().refused(request, error)
        code, why = STATUSES.get(status, INTERNAL)
        answer = Answer(200)
        answer.content_type = "application/grpc"
        answer.headers += [("grpc-status", str(code)), ("grpc-message", why)]
        return answer


@variable("grpc_internal_trailers")
def grpc_internal_trailers(request: Request) -> str | None:
    """`trailers` where the client takes them."""
    return "trailers" if "trailers" in (request.head.joined("te") or "").lower() else None


Grpc.pass_on.auto_redirect = True
inert(
    "grpc_ssl_certificate_cache",
    where=HTTP_LEVELS,
    reason="certificates are kept once they have been read",
    nginx=PAGE,
    module="grpc",
)
