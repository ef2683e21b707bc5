"""Answers out of memcached (nginx: ngx_http_memcached_module): the value of `$memcached_key`, or 404."""

from __future__ import annotations

from typing import ClassVar

from penstock.config.kinds import Kind, choices, custom, number
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, directive, united
from penstock.config.variables import variable
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.core.document_root import Files
from penstock.modules.core.http_core import HttpCore
from penstock.modules.gateways.gateway import SCHEMES, GatewayPass, gateway_pass
from penstock.modules.proxy.binding import local_for
from penstock.modules.proxy.pass_request import Passing
from penstock.modules.proxy.targets import Destination, Targets
from penstock.modules.upstream.upstream import upstreams_of
from penstock.observe.errorlog import ERROR, report
from penstock.upstream.errors import FaultSide, ProxyError
from penstock.upstream.exchange.memcached import MEMCACHED, MemcachedExchange, MemcachedPrepared, escape_key
from penstock.upstream.exchange.sending import NOTHING
from penstock.upstream.exchange.wire import BackendProtocol

PAGE = "ngx_http_memcached_module.html"
WORDS = {"invalid_response": "invalid_header", "not_found": "http_404"}
"""Conditions that this module has words of its own for."""


def _conditions(call: Call) -> frozenset[str]:
    words: frozenset[str] = choices("error", "timeout", "denied", *WORDS, "off").parse(call)
    return frozenset(WORDS.get(each, each) for each in words)


class Memcached(Passing, prefix="memcached"):
    """Answers taken out of memcached."""

    prefix: ClassVar[str] = "memcached"
    page: ClassVar[str] = PAGE
    wire: ClassVar[BackendProtocol] = MEMCACHED
    hides: ClassVar[tuple[str, ...]] = ()
    lacks: ClassVar[frozenset[str]] = frozenset(
        "buffering request_buffering ignore_client_abort intercept_errors pass_request_headers pass_request_body "
        "buffers busy_buffers_size force_ranges limit_rate temp_path max_temp_file_size temp_file_write_size "
        "passed_headers hidden_headers ignored_headers socket_rcvbuf socket_sndbuf request_dynamic".split()
    )

    target: GatewayPass | None = directive(
        "memcached_pass",
        where=LOCATION | IF_LOCATION,
        takes=custom(gateway_pass, syntax="address"),
        inherit=INNER,
        nginx=PAGE,
        doc="The key is `$memcached_key`. What is not there is a 404, for `error_page` to make something else of.",
    )
    next_upstream: frozenset[str] = directive(
        "memcached_next_upstream",
        where=HTTP_LEVELS,
        takes=Kind(_conditions, 1, None, "error | timeout | denied | invalid_response | not_found | off ..."),
        default=frozenset({"error", "timeout"}),
        nginx=PAGE,
        shown="error timeout",
        again=united,
    )
    gzipped: int = directive(
        "memcached_gzip_flag",
        where=HTTP_LEVELS,
        takes=number,
        default=0,
        nginx=PAGE,
        doc="A value with this bit in its flags is compressed: `Content-Encoding: gzip`.",
    )

    def finish(self, scope: Scope) -> None:
        """Compile key and target; a value is passed on as it comes."""
        self.buffering = False
        self.max_temp_file_size = 0
        super().finish(scope)
        self.key = scope.compilation.variables.template("$memcached_key")
        target = self.target
        if target is not None:
            upstreams = upstreams_of(scope.compilation)
            schemes = SCHEMES[self.prefix]
            self.targets = Targets(target.target, target.template, upstreams, target.span, schemes=schemes)

    async def pass_on(self, request: Request) -> Outcome:
        """Ask memcached, and answer with the value."""
        if request.method not in ("GET", "HEAD"):
            return special(405)
        try:
            there = self.targets.fixed or await self.targets.find(request)
            prepared = self.prepare(request, there, None, chunked=False)
            if self.each:
                prepared.each = self.vet
            local = None if self.bind_once is None else local_for(self.bind_once, request)
            exchange = MemcachedExchange(request, prepared, self.policy, NOTHING, local)
            head = await exchange.run()
        except ProxyError as error:
            return self.refused(request, error)
        if head.status == 404:
            exchange.log("info", f'key: "{prepared.key.decode("latin-1")}" was not found by memcached')
            exchange.open(head).drop()
            return special(404)
        made = self.answers.make(self, request, exchange, head)
        if isinstance(made, Answer):
            location = request.location
            made.content_type = location[Files].type_of(request.uri, location[HttpCore].default_type)
        return made

    def prepare(
        self, request: Request, there: Destination, length: int | None, *, chunked: bool
    ) -> MemcachedPrepared:
        """Prepare the line that asks for the key. Raises `ProxyError` where `$memcached_key` is empty."""
        key = escape_key(self.key.evaluate(request)).encode("latin-1")
        if not key:
            report(request, ERROR, 'the "$memcached_key" variable is not set')
            raise ProxyError(FaultSide.INTERNAL, 500, "", "")
        head = b"get %b\r\n" % key
        return MemcachedPrepared(
            there.group, head, request.method, (there.target.scheme, ""), key=key, gzipped=self.gzipped
        )


@variable("memcached_key", changeable=True)
def memcached_key(request: Request) -> None:
    """Empty, until the configuration gives it a value."""


Memcached.pass_on.auto_redirect = True  # type: ignore[attr-defined]
