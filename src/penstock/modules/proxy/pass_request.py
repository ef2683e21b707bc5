"""What `proxy_pass`, `fastcgi_pass`, `uwsgi_pass` and `scgi_pass` have in common: their directives, and the way of a
request to a backend and back (nginx: ngx_http_upstream, as the modules share it).

A module of the family says `class Proxy(Passing, prefix="proxy")` and how a request is written (`prepare`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from penstock.config import values
from penstock.config.errors import ConfigError
from penstock.config.kinds import Kind, choices, converted, flag, number, offset, rate, seconds, size, text
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import directive, directives, phase, united
from penstock.config.variables import Template
from penstock.http.fields import LOWER
from penstock.http.request import Answer, Outcome, Request, special
from penstock.http.response import ResponseHead
from penstock.modules.core.client_body import body_folder, not_kept, read_whole
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.temp_paths import default_folder, temp_path
from penstock.modules.events.event_stream import EventStreams
from penstock.modules.proxy.binding import Binding, NotSent, anew, local_for
from penstock.modules.proxy.early_hints import pass_hints
from penstock.modules.proxy.keepalive_owner import owner_of
from penstock.modules.proxy.pass_answer import Passed, Routes, routes_for, signed_by_backend
from penstock.modules.proxy.targets import Destination, Targets
from penstock.modules.websocket.admission import turned_away
from penstock.modules.websocket.guard import HandshakeRules, Sent, guard_for, sent_as_http
from penstock.modules.websocket.websocket import WebSocket, Wish, has_refused
from penstock.observe.errorlog import CRIT, ERROR, INFO, WARN, report
from penstock.plan import phases
from penstock.upstream.admission.selection import NotAdmitted
from penstock.upstream.errors import ProxyError
from penstock.upstream.events.redial import Redialler
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.exchange.outgoing import Prepared
from penstock.upstream.exchange.policy import CONDITIONS, Hint, Policy
from penstock.upstream.exchange.sending import CHUNKS, NOTHING, FromSpool, InMemory, OutgoingBody, Streamed
from penstock.upstream.exchange.spool import Spooled
from penstock.upstream.exchange.temp_file import CannotKeep, TempFolder
from penstock.upstream.exchange.wire import HTTP1, BackendProtocol

__all__ = ["Passing", "Prepared"]

LEVELS = {"crit": CRIT, "error": ERROR, "warn": WARN, "info": INFO}
PAGE_SIZE = 4096
IGNORABLE = (
    "X-Accel-Redirect",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
    "Expires",
    "Cache-Control",
    "Set-Cookie",
    "Vary",
)


def _buffers(call: Call) -> tuple[int, int]:
    count = converted(call, call.args[0], values.number), converted(call, call.args[1], values.size)
    if not all(count):
        raise call.fail(f'invalid value in "{call.name}" directive', hint="neither number nor size may be 0")
    return count


GATEWAYS = ("fastcgi_", "scgi_", "uwsgi_")
OF_HTTP = ("http_502", "http_504")
"""Statuses that say something of HTTP's own gateways: the others' directives do not have them."""


def _conditions(call: Call) -> frozenset[str]:
    known = [each for each in CONDITIONS if each not in OF_HTTP or not call.name.startswith(GATEWAYS)]
    made: frozenset[str] = choices(*known, "updating", "off").parse(call)
    return made


class Passing(Binding, abstract=True):
    """How requests are passed to backends, and what is done with their answers."""

    prefix: ClassVar[str]
    page: ClassVar[str]
    wire: ClassVar[BackendProtocol] = HTTP1
    exchange: Callable[..., Exchange] = Exchange
    """What tries a request at backends."""
    takes_chunks: bool = False
    """Whether a body of unknown length can be written to this backend as it arrives."""
    writes_chunks: bool = True
    """Whether such a body goes in chunks; or the protocol says by itself where it ends."""
    sets_body: bool = False
    """Whether `set_body` may give one."""
    target: Any = None
    targets: Targets
    """Where requests go; made by `finish` where there is a target."""

    buffering: bool = directive("*_buffering", where=HTTP_LEVELS, takes=flag, default=True)
    request_buffering: bool = directive("*_request_buffering", where=HTTP_LEVELS, takes=flag, default=True)
    ignore_client_abort: bool = directive("*_ignore_client_abort", where=HTTP_LEVELS, takes=flag, default=False)
    request_dynamic: bool = directive(
        "*_request_dynamic",
        where=HTTP_LEVELS,
        takes=flag,
        default=False,
        doc="Each server that is tried gets a request of its own, in which `$upstream_last_server_name` and "
        "`$upstream_last_addr` are known, instead of all the same.",
    )
    socket_keepalive: bool = directive("*_socket_keepalive", where=HTTP_LEVELS, takes=flag, default=False)
    socket_rcvbuf: int | None = directive("*_socket_rcvbuf", where=HTTP_LEVELS, takes=size)
    socket_sndbuf: int | None = directive("*_socket_sndbuf", where=HTTP_LEVELS, takes=size)
    connect_timeout: float = directive(
        "*_connect_timeout", where=HTTP_LEVELS, takes=seconds, default=60.0, shown="60s"
    )
    send_timeout: float = directive("*_send_timeout", where=HTTP_LEVELS, takes=seconds, default=60.0, shown="60s")
    read_timeout: float = directive("*_read_timeout", where=HTTP_LEVELS, takes=seconds, default=60.0, shown="60s")
    intercept_errors: bool = directive("*_intercept_errors", where=HTTP_LEVELS, takes=flag, default=False)
    pass_request_headers: bool = directive("*_pass_request_headers", where=HTTP_LEVELS, takes=flag, default=True)
    pass_request_body: bool = directive("*_pass_request_body", where=HTTP_LEVELS, takes=flag, default=True)
    buffer_size: int = directive("*_buffer_size", where=HTTP_LEVELS, takes=size, default=PAGE_SIZE, shown="4k|8k")
    buffers: tuple[int, int] = directive(
        "*_buffers",
        where=HTTP_LEVELS,
        takes=Kind(_buffers, 2, 2, "number size"),
        default=(8, PAGE_SIZE),
        shown="8 4k|8k",
    )
    busy_buffers_size: int | None = directive(
        "*_busy_buffers_size", where=HTTP_LEVELS, takes=size, shown="8k|16k"
    )
    force_ranges: bool = directive("*_force_ranges", where=HTTP_LEVELS, takes=flag, default=False)
    limit_rate: Template | None = directive("*_limit_rate", where=HTTP_LEVELS, takes=rate, shown="0")
    temp_path: TempFolder | None = directive("*_temp_path", where=HTTP_LEVELS, takes=temp_path)
    max_temp_file_size: int = directive(
        "*_max_temp_file_size", where=HTTP_LEVELS, takes=offset, default=1 << 30, shown="1024m"
    )
    temp_file_write_size: int | None = directive(
        "*_temp_file_write_size", where=HTTP_LEVELS, takes=size, shown="8k|16k",
        inert="a temporary file is written as the pieces come",
    )
    next_upstream: frozenset[str] = directive(
        "*_next_upstream",
        where=HTTP_LEVELS,
        takes=Kind(_conditions, 1, None, " | ".join((*CONDITIONS, "updating", "off")) + " ..."),
        default=frozenset({"error", "timeout"}),
        shown="error timeout",
        again=united,
    )
    next_upstream_tries: int = directive("*_next_upstream_tries", where=HTTP_LEVELS, takes=number, default=0)
    next_upstream_timeout: float = directive(
        "*_next_upstream_timeout", where=HTTP_LEVELS, takes=seconds, default=0.0, shown="0"
    )
    passed_headers: tuple[str, ...] = directives("*_pass_header", where=HTTP_LEVELS, takes=text)
    hides: ClassVar[tuple[str, ...]] = ("Date", "Server", "X-Pad")
    """What this family hides beside what all do."""
    hidden_headers: tuple[str, ...] = directives("*_hide_header", where=HTTP_LEVELS, takes=text)
    ignored_headers: frozenset[str] = directive(
        "*_ignore_headers", where=HTTP_LEVELS, takes=choices(*IGNORABLE), default=frozenset(), again=united
    )

    policy: Policy
    routes: Routes
    signed: tuple[bool, bool] | None
    """Whether Server and Date are those of the backend, or none (nginx: of `proxy_pass` alone)."""
    websocket: Wish | None
    """What `websocket` says here."""
    guard: HandshakeRules | None
    """Who judges what could become a WebSocket, where there are rules for them."""
    events: EventStreams
    """What is an event stream here, and how it is dealt with."""
    caches: bool = False
    """Whether answers may be kept here: `Caching` answers then."""
    judges: bool = False
    """Whether requests have to be looked at for that as they go out."""

    def finish(self, scope: Scope) -> None:
        """Compile what all ways to a backend share: sizes, headers that are hidden, times, tries. Raises
        `ConfigError`."""
        super().finish(scope)
        self.each = self.each or self.request_dynamic
        compilation = scope.compilation
        self.websocket = scope.settings(WebSocket).wish
        self.guard = guard_for(scope)
        self.events = scope.settings(EventStreams)
        self._check_sizes()
        folder = self.temp_path
        if self.target is not None:
            self.body_folder = body_folder(scope)
            if folder is None and self.max_temp_file_size:
                folder = default_folder(compilation, f"{self.prefix}_temp", f"{self.prefix}_temp_path")
        self.routes = routes_for((*self.hides, *self.hidden_headers), self.passed_headers, self.ignored_headers)
        self.signed = signed_by_backend(self.routes) if self.prefix == "proxy" else None
        self.policy = Policy(
            connect_timeout=self.connect_timeout,
            send_timeout=self.send_timeout,
            read_timeout=self.read_timeout,
            head_size=self.buffer_size,
            memory=self.buffers[0] * self.buffers[1],
            spill=self.max_temp_file_size,
            folder=folder,
            next=frozenset() if "off" in self.next_upstream else self.next_upstream,
            next_tries=self.next_upstream_tries,
            next_timeout=self.next_upstream_timeout,
            ignore_client_abort=self.ignore_client_abort,
            socket_keepalive=self.socket_keepalive,
            rcvbuf=self.socket_rcvbuf,
            sndbuf=self.socket_sndbuf,
            module=self.prefix,
            wire=self.wire,
            log=log_line,
            hint=_hints(self.routes),
            owner=owner_of(scope, self.origins),
        )
        self.answers = Passed(self.ignored_headers)

    @property
    def carries_websockets(self) -> bool:
        """Return whether handshakes are passed on here whatever else is configured."""
        return self.websocket is not None and self.websocket.carries

    def _check_sizes(self) -> None:
        if "buffers" in self.lacks:
            return
        count, each = self.buffers
        least = max(self.buffer_size, each)
        name = self.prefix
        if count < 2:
            raise ConfigError(f'there must be at least 2 "{name}_buffers"', self.origin("buffers"))
        both = f'the value of "{name}_buffer_size" and one of the "{name}_buffers"'
        largest = f"equal to or greater than the maximum of {both}"
        busy = self.busy_buffers_size if self.busy_buffers_size is not None else 2 * least
        span = self.origin("busy_buffers_size") or self.origin("buffer_size") or self.origin("buffers")
        if busy < least:
            raise ConfigError(f'"{name}_busy_buffers_size" must be {largest}', span)
        if busy > (count - 1) * each:
            raise ConfigError(
                f'"{name}_busy_buffers_size" must be less than the size of all "{name}_buffers" minus one buffer',
                span,
                hint=f'give more or larger "{name}_buffers"',
            )
        if self.temp_file_write_size is not None and self.temp_file_write_size < least:
            span = self.origin("temp_file_write_size")
            raise ConfigError(f'"{name}_temp_file_write_size" must be {largest}', span)
        if self.max_temp_file_size and self.max_temp_file_size < least:
            zero = "equal to zero to disable temporary files usage"
            span = self.origin("max_temp_file_size")
            raise ConfigError(f'"{name}_max_temp_file_size" must be {zero} or must be {largest}', span)

    # -- what a module of the family supplies ---------------------------------------------------------------------

    def redialler(self, request: Request) -> Redialler | None:
        """Return who asks again where an event stream is lost; None where nobody does."""
        return None

    def set_body(self, request: Request) -> bytes | None:
        """Return the body to send in place of the client's."""
        return None

    def prepare(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        """Prepare the group, and the request's head with a body of that length. Raises `ProxyError`."""
        raise NotImplementedError

    def rewrite_location(self, request: Request, value: str) -> str:
        """Rewrite the `Location` of an answer as the client gets it."""
        return value

    def rewrite_refresh(self, request: Request, value: str) -> str:
        """Rewrite the `Refresh` of an answer likewise."""
        return value

    def rewrite_cookie(self, request: Request, value: str) -> str:
        """Rewrite a `Set-Cookie` of an answer likewise."""
        return value

    # -- the way there and back -----------------------------------------------------------------------------------

    @phase(phases.CONTENT, when=lambda self: self.target is not None and not self.caches)
    async def pass_on(self, request: Request) -> Outcome:
        """Pass the request to a backend and its answer to the client."""
        if request.body.length == 0:
            if request.expecting is not None and request.head.content_length is not None:
                request.go_on()
            body: OutgoingBody = NOTHING
            chunked = False
            length = request.head.content_length
            own = self.set_body(request) if self.sets_body else None
            if own is not None:
                body = InMemory(own)
                length = len(own)
        else:
            try:
                body, length, chunked = await self._body(request)
            except CannotKeep as error:
                not_kept(request, error)
                return special(500)
        try:
            there = self.targets.fixed or await self.targets.find(request)
            prepared = self.prepare(request, there, length, chunked=chunked)
            if self.judges and (refused := self.judged(request, prepared)) is not None:
                return refused
            if self.each:
                prepared.each = anew(self, there, self.prepare, length, chunked=chunked)
            bind = self.bind_once
            local = None if bind is None else local_for(bind, request)
            exchange = self.exchange(request, prepared, self.policy, body, local)
            head = await exchange.run()
            try:
                return self.answers.make(self, request, exchange, head)
            except BaseException:
                exchange.abandon()
                raise
        except ProxyError as error:
            return self.refused(request, error)

    async def carry_on(self, request: Request, exchange: Exchange) -> Outcome:
        """Go on with an exchange that has been begun (`Exchange.begun`): the answer it comes to."""
        try:
            head = await exchange.run()
            try:
                return self.answers.make(self, request, exchange, head)
            except BaseException:
                exchange.abandon()
                raise
        except ProxyError as error:
            return self.refused(request, error)

    def sent(self, request: Request, prepared: Prepared) -> Sent:
        """Find what would make a WebSocket of a request that goes out like this."""
        return sent_as_http(prepared.head)

    def goes_plain(self, request: Request) -> bool:
        """Return whether a request may not become a WebSocket any more: one that was refused, on its way to the page
        that says so, and where there are rules, one that another request asks with."""
        if request.parent is not None:
            return self.guard is not None
        return has_refused(request)

    def judged(self, request: Request, prepared: Prepared) -> Answer | None:
        """Return the answer to a request that goes out like this and may not; None where it may."""
        if self.guard is None or request.parent is not None or has_refused(request):
            return None
        return self.guard.refusal(request, self.sent(request, prepared))

    def refused(self, request: Request, error: ProxyError) -> Answer:
        """Make a failure an answer, in this one place; what went wrong has been logged with its attempt."""
        if isinstance(error, NotSent):
            return error.answer
        if isinstance(error, NotAdmitted):
            return turned_away(request, error.gate)
        return special(error.status)

    async def _body(self, request: Request) -> tuple[OutgoingBody, int | None, bool]:
        """The body to send, its length (None where it is not known), and whether it goes in chunks."""
        body = request.body
        core = request.location[HttpCore]
        if not isinstance(body, Spooled):
            if (
                not self.request_buffering
                and not self.sets_body
                and self.pass_request_body
                and (body.length is not None or self.takes_chunks)
            ):
                chunked = body.length is None
                coding = CHUNKS if chunked and self.writes_chunks else None
                streamed = Streamed(request, core.client_body_buffer_size, coding)
                return streamed, body.length, chunked
            body = await read_whole(request, self.body_folder)
        # After the reading: `$request_body` may be part of it.
        own = self.set_body(request) if self.sets_body else None
        if own is not None:
            return InMemory(own), len(own), False
        if not self.pass_request_body:
            return NOTHING, body.length, False
        if body.file is None:
            return InMemory(body.memory), body.length, False
        return FromSpool(body), body.length, False


def _hints(routes: Routes) -> Hint:
    async def hint(request: Request, head: ResponseHead) -> None:
        """Pass a 103 on, without what is hidden."""
        kept = [pair for pair in head.headers if routes.get(LOWER[pair[0]], pass_hints) is not None]
        await pass_hints(request, kept)

    return hint


def log_line(request: Request, level: str, message: str) -> None:
    """Write a line about an exchange to the error log."""
    report(request, LEVELS[level], message)
