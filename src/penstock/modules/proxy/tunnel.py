"""CONNECT: a tunnel to wherever the client asks for, or to one group (nginx: ngx_http_tunnel_module)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penstock.config.addresses import bracket_hint
from penstock.config.kinds import choices, custom, flag, number, seconds, size
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LOCATION, SERVER, Context, inert
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, directive, phase, united
from penstock.config.source import Span
from penstock.config.variables import Template
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.proxy.binding import Binding, local_for
from penstock.modules.proxy.pass_request import log_line
from penstock.modules.proxy.targets import PLAIN, Targets
from penstock.modules.proxy.tunnel_guards import warn_if_open
from penstock.modules.upstream.upstream import upstreams_of
from penstock.observe.errorlog import INFO
from penstock.plan import phases
from penstock.plan.location import OWN_SERVER
from penstock.upstream.errors import ProxyError
from penstock.upstream.exchange.connect import Connecting
from penstock.upstream.exchange.outgoing import Prepared
from penstock.upstream.exchange.policy import Policy
from penstock.upstream.exchange.sending import NOTHING
from penstock.upstream.exchange.target import Target, parse_target
from penstock.upstream.exchange.upgrade import Upgrade

PAGE = "ngx_http_tunnel_module.html"
WHEREVER = "$host:$request_port"
"""Where a `tunnel_pass` without an argument goes: where the client wants."""


@dataclass(frozen=True, slots=True)
class TunnelPass:
    """A `tunnel_pass` as written: `target`, or only a `template` where it has variables."""

    target: Target | None
    template: Template
    span: Span


def _pass(call: Call) -> TunnelPass:
    server = call.scope.enclosing(Context.SERVER).data[OWN_SERVER]
    server.allow_connect = True
    span = call.directive.span
    if not call.args:
        return TunnelPass(None, call.compilation.variables.template(WHEREVER, span), span)
    word = call.args[0]
    made = call.template(word)
    if made.literal is None:
        return TunnelPass(None, made, span)
    try:
        return TunnelPass(parse_target(word.text, PLAIN), made, span)
    except ValueError as error:
        raise call.fail(str(error), word, hint=bracket_hint(word.text)) from None


class ConnectTunnels(Binding, prefix="tunnel"):
    """Where CONNECT leads. Other methods get 405."""

    page: ClassVar[str] = PAGE

    target: TunnelPass | None = directive(
        "tunnel_pass",
        where=SERVER | LOCATION | IF_LOCATION,
        takes=custom(_pass, least=0, syntax="[address]"),
        inherit=INNER,
        nginx=PAGE,
        doc="Without an address the tunnel leads where the client asks for: `$host:$request_port`.",
    )
    socket_keepalive: bool = directive(
        "tunnel_socket_keepalive", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE
    )
    socket_rcvbuf: int | None = directive("tunnel_socket_rcvbuf", where=HTTP_LEVELS, takes=size, nginx=PAGE)
    socket_sndbuf: int | None = directive("tunnel_socket_sndbuf", where=HTTP_LEVELS, takes=size, nginx=PAGE)
    connect_timeout: float = directive(
        "tunnel_connect_timeout", where=HTTP_LEVELS, takes=seconds, default=60.0, nginx=PAGE, shown="60s"
    )
    send_timeout: float = directive(
        "tunnel_send_timeout", where=HTTP_LEVELS, takes=seconds, default=60.0, nginx=PAGE, shown="60s"
    )
    read_timeout: float = directive(
        "tunnel_read_timeout", where=HTTP_LEVELS, takes=seconds, default=60.0, nginx=PAGE, shown="60s"
    )
    next_upstream: frozenset[str] = directive(
        "tunnel_next_upstream",
        where=HTTP_LEVELS,
        takes=choices("error", "timeout", "denied", "off"),
        default=frozenset({"error", "timeout"}),
        nginx=PAGE,
        shown="error timeout",
        again=united,
    )
    next_upstream_tries: int = directive(
        "tunnel_next_upstream_tries", where=HTTP_LEVELS, takes=number, default=0, nginx=PAGE
    )
    next_upstream_timeout: float = directive(
        "tunnel_next_upstream_timeout", where=HTTP_LEVELS, takes=seconds, default=0.0, nginx=PAGE, shown="0"
    )

    def finish(self, scope: Scope) -> None:
        """Compile the target and the policy of `tunnel_pass`. Raises `ConfigError`."""
        super().finish(scope)
        target = self.target
        if target is None:
            return
        self.targets = Targets(
            target.target, target.template, upstreams_of(scope.compilation), target.span, schemes=PLAIN
        )
        self.policy = Policy(
            connect_timeout=self.connect_timeout,
            send_timeout=self.send_timeout,
            read_timeout=self.read_timeout,
            next=frozenset() if "off" in self.next_upstream else self.next_upstream,
            next_tries=self.next_upstream_tries,
            next_timeout=self.next_upstream_timeout,
            socket_keepalive=self.socket_keepalive,
            rcvbuf=self.socket_rcvbuf,
            sndbuf=self.socket_sndbuf,
            module="tunnel",
            log=log_line,
        )
        if "target" in scope.own.get(ConnectTunnels, {}):
            scope.compilation.defer(lambda: warn_if_open(scope, target.template, self.allowed, target.span))

    @phase(phases.CONTENT, when=lambda self: self.target is not None)
    async def connect(self, request: Request) -> Outcome:
        """Reach the other end, and answer 200: from then on the bytes are not ours."""
        if request.method != "CONNECT":
            return special(405)
        try:
            there = self.targets.fixed
            if there is None:
                if not self.targets.are_sound(request, INFO):
                    return special(500)
                there = await self.targets.find(request)
            plan = Prepared(there.group, b"", "CONNECT", ("", ""))
            if self.each:
                plan.each = self.vet
            local = None if self.bind_once is None else local_for(self.bind_once, request)
            exchange = Connecting(request, plan, self.policy, NOTHING, local)
            await exchange.run()
        except ProxyError as error:
            return special(error.status)
        answer = Answer(200, length=None)
        answer.length = None
        answer.from_upstream = True
        answer.upgraded = upgrade = Upgrade(exchange, exchange.plan.group, b"")
        request.hold(upgrade)
        return answer


inert(
    "tunnel_buffer_size",
    where=HTTP_LEVELS,
    reason="tunnels share one buffer",
    nginx=PAGE,
    module="tunnel",
)
inert("tunnel_send_lowat", where=HTTP_LEVELS, reason="Linux has no such thing either", nginx=PAGE, module="tunnel")
