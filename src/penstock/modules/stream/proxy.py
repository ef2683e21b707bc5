"""Streams passed on to backends: `proxy_pass` and what belongs to it (nginx: ngx_stream_proxy_module)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penstock.config.addresses import bracket_hint
from penstock.config.kinds import custom, flag, number, rate, seconds, size
from penstock.config.registry import STREAM_LEVELS, STREAM_SERVER, inert
from penstock.config.scope import Call, Scope
from penstock.config.settings import NOT, directive, phase
from penstock.config.source import Span
from penstock.config.values import size as to_size
from penstock.config.variables import Template, VariableTable
from penstock.http.request import Answer, Request
from penstock.modules.proxy.binding import Binding, local_for
from penstock.modules.proxy.pass_request import log_line
from penstock.modules.proxy.secure import ProxySecure
from penstock.modules.proxy.targets import PLAIN, Targets
from penstock.modules.stream.header_out import VERSIONS, header_for
from penstock.modules.stream.session import BAD_GATEWAY, FAILED, StreamSession
from penstock.modules.upstream.upstream import upstreams_of
from penstock.net.errors import NetError
from penstock.net.stream import Stream
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases
from penstock.upstream.errors import FaultSide, ProxyError, failed
from penstock.upstream.exchange.connect import Connecting, DatagramConnecting
from penstock.upstream.exchange.outgoing import Prepared, Secure
from penstock.upstream.exchange.policy import Policy
from penstock.upstream.exchange.sending import NOTHING
from penstock.upstream.exchange.target import Target, parse_target
from penstock.upstream.exchange.upgrade import Upgrade

MODULE = "stream_proxy"
PAGE = "ngx_stream_proxy_module.html"


@dataclass(frozen=True, slots=True)
class StreamPass:
    """A `proxy_pass` as written: `target`, or only a `template` where it has variables."""

    target: Target | None
    template: Template
    span: Span


def _pass(call: Call) -> StreamPass:
    word = call.args[0]
    made = call.template(word)
    if made.literal is None:
        return StreamPass(None, made, word.span)
    try:
        target = parse_target(word.text, PLAIN)
    except ValueError as error:
        raise call.fail(str(error), word, hint=_hint(word.text)) from None
    return StreamPass(target, made, word.span)


def _hint(text: str) -> str | None:
    if "://" in text:
        return f"a stream has no scheme: proxy_pass {text.partition('://')[2].partition('/')[0]};"
    return bracket_hint(text)


def _protocols(call: Call) -> tuple[Template, ...]:
    if any(len(word.text) > 255 and "$" not in word.text for word in call.args):
        raise call.fail("protocol too long")
    return tuple(call.template(word) for word in call.args)


def _version(call: Call) -> int:
    word = call.args[0]
    if word.text not in VERSIONS:
        raise call.fail(f'invalid value "{word.text}"', word, hint="it may be: " + ", ".join(VERSIONS))
    return VERSIONS[word.text]


class Timing:
    """Whether somebody wants to know when backends say their first word, which is known when all has been read."""

    __slots__ = ("wanted",)

    def __init__(self) -> None:
        self.wanted = False

    def ask(self, variables: VariableTable) -> None:
        """Look for who wants to know."""
        self.wanted = variables.asks_for("upstream_first_byte_time")


class StreamProxy(ProxySecure, Binding, prefix="proxy", where=STREAM_LEVELS):
    """Connections passed on as they are."""

    prefix: ClassVar[str] = "proxy"
    page: ClassVar[str] = PAGE
    lacks: ClassVar[frozenset[str]] = frozenset({"allowed"})

    target: StreamPass | None = directive(
        "proxy_pass", where=STREAM_SERVER, takes=custom(_pass, syntax="address"), inherit=NOT
    )
    socket_keepalive: bool = directive("proxy_socket_keepalive", where=STREAM_LEVELS, takes=flag, default=False)
    socket_rcvbuf: int | None = directive("proxy_socket_rcvbuf", where=STREAM_LEVELS, takes=size)
    socket_sndbuf: int | None = directive("proxy_socket_sndbuf", where=STREAM_LEVELS, takes=size)
    connect_timeout: float = directive(
        "proxy_connect_timeout", where=STREAM_LEVELS, takes=seconds, default=60.0, shown="60s"
    )
    timeout: float = directive(
        "proxy_timeout",
        where=STREAM_LEVELS,
        takes=seconds,
        default=600.0,
        shown="10m",
        doc="How long nothing may come from either side, or what is sent to one may not be taken.",
    )
    next_upstream: bool = directive("proxy_next_upstream", where=STREAM_LEVELS, takes=flag, default=True)
    next_upstream_tries: int = directive("proxy_next_upstream_tries", where=STREAM_LEVELS, takes=number, default=0)
    next_upstream_timeout: float = directive(
        "proxy_next_upstream_timeout", where=STREAM_LEVELS, takes=seconds, default=0.0, shown="0"
    )
    ssl: bool = directive("proxy_ssl", where=STREAM_LEVELS, takes=flag, default=False)
    ssl_alpn: tuple[Template, ...] = directive(
        "proxy_ssl_alpn", where=STREAM_LEVELS, takes=custom(_protocols, most=None, syntax="protocol ..."), default=()
    )
    header: int = directive(
        "proxy_protocol",
        where=STREAM_LEVELS,
        takes=custom(_version, syntax="on | off | v2"),
        default=0,
        shown="off",
        doc="Backends are told who the client is, in version 1 (`on`) or 2 of the PROXY protocol.",
    )
    upload_rate: Template | None = directive("proxy_upload_rate", where=STREAM_LEVELS, takes=rate, shown="0")
    download_rate: Template | None = directive("proxy_download_rate", where=STREAM_LEVELS, takes=rate, shown="0")
    requests: int = directive(
        "proxy_requests",
        where=STREAM_LEVELS,
        takes=number,
        default=0,
        doc="Datagrams of a client after which its next one begins another session; 0 for no such number.",
    )
    responses: int | None = directive(
        "proxy_responses",
        where=STREAM_LEVELS,
        takes=number,
        doc="Datagrams that come back for each of a client's, after which a session is over. Unset: any number.",
    )
    half_close: bool = directive(
        "proxy_half_close",
        where=STREAM_LEVELS,
        takes=flag,
        default=False,
        doc="Whether each direction ends by itself. Without it the end of one side is the end of both.",
    )

    def finish(self, scope: Scope) -> None:
        """Compile the target and the policy. Raises `ConfigError` for a target that can not be reached."""
        super().finish(scope)
        target = self.target
        if target is None:
            return
        upstreams = upstreams_of(scope.compilation)
        self.targets = Targets(target.target, target.template, upstreams, target.span, schemes=PLAIN)
        self.policy = Policy(
            connect_timeout=self.connect_timeout,
            send_timeout=self.timeout,
            read_timeout=self.timeout,
            next=frozenset({"error", "timeout"}) if self.next_upstream else frozenset(),
            next_tries=self.next_upstream_tries,
            next_timeout=self.next_upstream_timeout,
            ignore_client_abort=True,  # one that has said its last may still listen
            socket_keepalive=self.socket_keepalive,
            rcvbuf=self.socket_rcvbuf,
            sndbuf=self.socket_sndbuf,
            module="proxy",
            log=log_line,
        )
        self.timing = timing = Timing()
        scope.compilation.defer(lambda: timing.ask(scope.compilation.variables))
        self.negotiates = bool(self.ssl_alpn)
        if self.ssl:
            self.finish_secure(scope)

    def never_secure(self) -> bool:
        """Return whether no backend is spoken to over TLS."""
        return not self.ssl

    @phase(phases.CONTENT, when=lambda self: self.target is not None)
    async def connect(self, session: StreamSession) -> Answer:
        """Reach a backend; from then on the bytes are not ours."""
        try:
            there = self.targets.fixed
            if there is None:
                if not self.targets.are_sound(session, ERROR):
                    return Answer(FAILED)
                there = await self.targets.find(session)
            header = header_for(session, self.header) if self.header else b""
            asked = (self.ssl or header) and not session.udp
            begin = self._begins(session, there.target, header) if asked else None
            plan = Prepared(there.group, b"", "", ("", ""), begin)
            if self.each:
                plan.each = self.vet
            local = None if self.bind_once is None else local_for(self.bind_once, session)
            kind = DatagramConnecting if session.udp else Connecting
            exchange = kind(session, plan, self.policy, NOTHING, local)
            await exchange.run()
        except ProxyError as error:
            return Answer(FAILED if error.side is FaultSide.INTERNAL else BAD_GATEWAY)
        session.attempts[-1].header_time = None  # type: ignore[index]
        answer = Answer(200)
        answer.upgraded = upgrade = Upgrade(exchange, plan.group, b"")
        upgrade.count_before(len(header))
        upgrade.proved()
        session.hold(upgrade)
        return answer

    def rates(self, session: StreamSession) -> tuple[int, int] | None:
        """Return the bytes a second that may come from the client and from the backend.

        0 is no limit for one, None for both."""
        found = _rate(session, self.upload_rate), _rate(session, self.download_rate)
        return found if any(found) else None

    def _begins(self, session: StreamSession, target: Target, header: bytes) -> Secure:
        """What a fresh connection begins with: the PROXY protocol's header, and TLS."""
        secure = None
        if self.ssl:
            protocols = tuple(text for each in self.ssl_alpn if 0 < len(text := each.evaluate(session)) < 256)
            secure = self.secure_for(session, target, protocols)

        async def begin(stream: Stream, request: Request) -> Stream:
            if header:
                try:
                    await stream.send_all(header, self.timeout)
                except NetError as error:
                    stream.close()
                    raise failed(f"{error} while sending PROXY protocol to upstream", cause=error) from None
            return stream if secure is None else await secure(stream, request)

        return begin


def _rate(session: StreamSession, written: Template | None) -> int:
    if written is None:
        return 0
    text = written.evaluate(session)
    try:
        return to_size(text)
    except ValueError:
        if text:
            report(session, ERROR, f'invalid size "{text}" in the rate "{written.text}"')
        return 0


inert(
    "proxy_buffer_size",
    "proxy_downstream_buffer",
    "proxy_upstream_buffer",
    where=STREAM_LEVELS,
    reason="streams share one buffer",
    nginx=PAGE,
    module="stream_proxy",
)
