"""Traces of requests for OpenTelemetry (nginx: ngx_otel_module): which are traced, and what a span says.

    begin      before rewriting: whether a request is recorded, whose child it is, what its backend is told
    spans      when it has ended (`spans.py`), to the exporter (`otel_exporter.py`)

A request that goes straight goes straight with it, too: nothing of it waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import time

from penstock.config.errors import ConfigError
from penstock.config.kinds import choice, custom, template
from penstock.config.registry import HTTP_LEVELS, LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, directives, phase
from penstock.config.values import seconds
from penstock.config.variables import Template, variable
from penstock.http.request import Request
from penstock.modules.rewrite.rewrite import PROGRAM
from penstock.modules.tracing.keys import TRACE
from penstock.modules.tracing.otel_exporter import exporter_of, is_given
from penstock.modules.tracing.spans import RequestTrace, attributes_of, name_of, outcome
from penstock.observe.tracing.exporter import Exporter
from penstock.observe.tracing.span import SpanRecord
from penstock.plan import phases

MODULE = "otel"
PAGE = "https://nginx.org/en/docs/ngx_otel_module.html"
ARRAYS = ("http.request.header.", "http.response.header.")
"""Attributes whose values are lists, as they may stand on several lines."""
SHORTEST = 1.0


@dataclass(frozen=True, slots=True)
class SpanAttribute:
    """An `otel_span_attr` as written. `several`: its value is a list."""

    name: str
    value: Template
    several: bool


@dataclass(frozen=True, slots=True)
class TunnelSpanRule:
    """How a tunnel is told of. `opens`: by a span when it opens and another when it ends; `every`: and by one for each
    such time (seconds) in between, 0 for none."""

    opens: bool
    every: float = 0.0


def _attribute(call: Call) -> SpanAttribute:
    name, value = call.args
    return SpanAttribute(name.text, call.template(value), name.text.startswith(ARRAYS))


def _tunnel_spans(call: Call) -> TunnelSpanRule:
    text = call.args[0].text
    if text in ("open", "close"):
        return TunnelSpanRule(text == "open")
    name, given, value = text.partition("=")
    try:
        period = seconds(value) if name == "every" and given else 0.0
    except ValueError:
        period = 0.0
    if period < SHORTEST:
        raise call.fail(f'invalid value "{text}"', call.args[0], hint="it may be: open, close, every=10m (1s at least)")
    return TunnelSpanRule(True, period)


class Tracing(Settings):
    """Which requests are traced, and what their spans say."""

    trace: Template | None = directive(
        "otel_trace", where=HTTP_LEVELS, takes=template, nginx=PAGE, doc="For requests where it is `on` or `1`."
    )
    context: str = directive(
        "otel_trace_context",
        where=HTTP_LEVELS,
        takes=choice("extract", "inject", "propagate", "ignore"),
        default="ignore",
        nginx=PAGE,
        doc="`extract`: a client's traceparent says whose child a request is; `inject`: backends are told; "
        "`propagate`: both.",
    )
    span_name: Template | None = directive("otel_span_name", where=HTTP_LEVELS, takes=template, nginx=PAGE)
    span_attrs: tuple[SpanAttribute, ...] = directives(
        "otel_span_attr",
        where=HTTP_LEVELS,
        takes=custom(_attribute, least=2, most=2, syntax="name value"),
        nginx=PAGE,
        doc="Texts of more than 4 KiB are cut off.",
    )
    tunnel_spans: TunnelSpanRule = directive(
        "otel_tunnel_spans",
        where=HTTP_LEVELS,
        takes=custom(_tunnel_spans, syntax="open | close | every=time"),
        default=TunnelSpanRule(True),
        shown="open",
        doc="A tunnel has a span for its handshake, sent when it opens, and one for its life, sent when it ends; "
        "`every=`: and one for each such time in between. Each is linked to the one before it. `close`: one span "
        "when it ends, as in nginx.",
    )
    exporter: Exporter | None = None
    active = False
    early = False
    """Whether it acts before this location's rewriting, which may answer."""

    def finish(self, scope: Scope) -> None:
        """Choose what is done with a request's context. Raises `ConfigError` for `otel_trace` without an exporter."""
        off = self.trace is None or self.trace.literal in ("off", "0", "")
        self.exporter = exporter_of(scope.compilation)
        if not off and not is_given(scope.compilation):
            raise ConfigError(
                '"otel_exporter" block is missing',
                self.origin("trace"),
                hint="otel_exporter { endpoint http://localhost:4318/v1/traces; }",
            )
        self.active = not off or self.context != "ignore"
        self.extracts = self.context in ("extract", "propagate")
        self.injects = self.context in ("inject", "propagate")
        program = scope.data.get(PROGRAM)
        self.early = program is not None and bool(scope.context & LOCATION)

    def keeps_to_itself(self, inside: bool) -> bool:
        """Return whether a level has settings of its own: one that rewrites acts earlier."""
        return self.active or super().keeps_to_itself(inside)

    @phase(phases.REWRITE, when=lambda self: self.active and self.early)
    @phase(phases.PREACCESS, when=lambda self: self.active and not self.early)
    def begin(self, request: Request) -> None:
        """Decide whether a request is recorded, and tell its backend."""
        if request.internal or request.parent is not None:
            return
        sampled = self.trace is not None and self.trace.evaluate(request) in ("on", "1")
        if not sampled and self.context == "ignore":
            return
        trace = _trace_of(request)
        trace.sampled = sampled
        if sampled and not trace.told and self.exporter is not None:
            trace.told = True
            request.at_end(SpanAtEnd(self.exporter, request, trace))
        if self.injects:
            trace.inject(request)


class SpanAtEnd:
    """Makes a request's span when it ends. It goes when the request has ended, or has become a tunnel."""

    __slots__ = ("exporter", "request", "trace")

    def __init__(self, exporter: Exporter, request: Request, trace: RequestTrace) -> None:
        self.exporter = exporter
        self.request = request
        self.trace = trace

    def __call__(self) -> None:
        request, trace = self.request, self.trace
        if not trace.sampled:
            return
        settings = request.location[Tracing]
        timers = request.connection.service.timers
        now = time()
        status = request.error_status or request.status
        self.exporter.meters = request.connection.service.meters
        self.exporter.add(
            SpanRecord(
                trace.trace,
                trace.own,
                trace.parent,
                trace.state,
                name_of(request, settings),
                now - (timers.now - request.started),
                now,
                attributes_of(request, settings) + outcome(status, request.body_bytes_sent),
                failed=status >= 500,
            )
        )


def _trace_of(request: Request) -> RequestTrace:
    """The trace of a client's request, begun when it is first asked for."""
    main = request.main
    return main.context(TRACE, lambda: RequestTrace(main, extracts=main.location[Tracing].extracts))


@variable("otel_trace_id")
def otel_trace_id(request: Request) -> str:
    return _trace_of(request).trace.hex()


@variable("otel_span_id")
def otel_span_id(request: Request) -> str:
    return _trace_of(request).own.hex()


@variable("otel_parent_id")
def otel_parent_id(request: Request) -> str | None:
    return _trace_of(request).parent.hex() or None


@variable("otel_parent_sampled")
def otel_parent_sampled(request: Request) -> str:
    return str(int(_trace_of(request).parent_sampled))
