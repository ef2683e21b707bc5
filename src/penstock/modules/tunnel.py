"""CONNECT: a tunnel to wherever the client asks for, or to one group (nginx: ngx_http_tunnel_module)."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.errors import ConfigError
from penstock.config.kinds import choices, custom, flag, number, seconds, size
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LOCATION, SERVER, Context, inert
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, Settings, directive, phase
from penstock.config.source import Span
from penstock.config.variables import Template
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.binding import BINDING, Bind, local_for
from penstock.modules.passing import log_line
from penstock.modules.proxy_targets import Targets
from penstock.modules.tunnel_guards import warn_if_open
from penstock.modules.upstream import upstreams_of
from penstock.observe.errorlog import INFO, report
from penstock.plan import phases
from penstock.plan.location import Server
from penstock.upstream.connecting import Connecting
from penstock.upstream.errors import ProxyError
from penstock.upstream.policy import Policy
from penstock.upstream.prepared import Prepared
from penstock.upstream.sending import NOTHING
from penstock.upstream.target import Target, parse_target
from penstock.upstream.upgrade import Upgrade

PAGE = "ngx_http_tunnel_module.html"
WHEREVER = "$host:$request_port"
"""Where a `tunnel_pass` without an argument goes: where the client wants."""
PLAIN = ("",)
"""Addresses are written without a scheme."""


@dataclass(frozen=True, slots=True)
class TunnelPass:
    """A `tunnel_pass` as written: `target`, or only a `template` where it has variables."""

    target: Target | None
    template: Template
    span: Span


def _pass(call: Call) -> TunnelPass:
    server: Server = call.scope.enclosing(Context.SERVER).data["server"]
    server.allow_connect = True
    span = call.directive.span
    if not call.args:
        return TunnelPass(None, call.compilation.variables.template(WHEREVER, span), span)
    word = call.args[0]
    made = call.template(word)
    if made.literal is None:
        return TunnelPass(None, made, span)
    try:
        return TunnelPass(_target(word.text), made, span)
    except ValueError as error:
        raise call.fail(str(error), word) from None


def _target(text: str) -> Target:
    """What an address means. Raises `ValueError` in nginx's words."""
    target = parse_target(text, PLAIN)
    if target.uri:
        raise ValueError(f'invalid host in upstream "{text}"')
    return target


class Tunnel(Settings):
    """Where CONNECT leads. Other methods get 405."""

    target: TunnelPass | None = directive(
        "tunnel_pass",
        where=SERVER | LOCATION | IF_LOCATION,
        takes=custom(_pass, least=0, syntax="[address]"),
        inherit=INNER,
        nginx=PAGE,
        doc="Without an address the tunnel leads where the client asks for: `$host:$request_port`.",
    )
    bind: Bind | None = directive("tunnel_bind", where=HTTP_LEVELS, takes=BINDING, nginx=PAGE)
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
        takes=choices("error", "timeout", "off"),
        default=frozenset({"error", "timeout"}),
        nginx=PAGE,
        shown="error timeout",
    )
    next_upstream_tries: int = directive(
        "tunnel_next_upstream_tries", where=HTTP_LEVELS, takes=number, default=0, nginx=PAGE
    )
    next_upstream_timeout: float = directive(
        "tunnel_next_upstream_timeout", where=HTTP_LEVELS, takes=seconds, default=0.0, nginx=PAGE, shown="0"
    )

    def finish(self, scope: Scope) -> None:
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
        if "target" in scope.own.get(Tunnel, {}):
            scope.compilation.defer(lambda: warn_if_open(scope, target.template, target.span))
        fixed = target.target
        if fixed is None or fixed.unix or fixed.port:
            return
        if upstreams_of(scope.compilation).find(fixed.name) is None:
            raise ConfigError(f'no port in upstream "{fixed.name}"', target.span)

    @phase(phases.CONTENT, when=lambda self: self.target is not None)
    async def connect(self, request: Request) -> Outcome:
        """Reach the other end, and answer 200: from then on the bytes are not ours."""
        if request.method != "CONNECT":
            return special(405)
        try:
            there = self.targets.fixed
            if there is None:
                if not self._sound(request):
                    return special(500)
                there = await self.targets.find(request)
            plan = Prepared(there.group, b"", "CONNECT", ("", ""))
            local = None if self.bind is None else local_for(self.bind, request)
            exchange = Connecting(request, plan, self.policy, NOTHING, local)
            await exchange.run()
        except ProxyError as error:
            return special(error.status)
        answer = Answer(200, length=None)
        answer.length = None
        answer.from_upstream = True
        answer.upgraded = Upgrade(exchange, b"")
        return answer

    def _sound(self, request: Request) -> bool:
        """Whether the variables make an address, with a port or a group's name.

        Of a unix socket they must make the whole path: no client shall reach one by calling its host "unix".
        """
        target = self.target
        assert target is not None
        text = target.template.evaluate(request)
        try:
            found = _target(text)
        except ValueError as error:
            report(request, INFO, str(error))
            return False
        if found.unix and not found.name.startswith("/"):
            report(request, INFO, f'invalid host in upstream "{text}"')
            return False
        if not found.unix and not found.port and self.targets.group(found.name) is None:
            report(request, INFO, f'no port in upstream "{text}"')
            return False
        return True


inert(
    "tunnel_buffer_size",
    where=HTTP_LEVELS,
    reason="tunnels share one buffer",
    nginx=PAGE,
    module="tunnel",
)
inert("tunnel_send_lowat", where=HTTP_LEVELS, reason="Linux has no such thing either", nginx=PAGE, module="tunnel")
