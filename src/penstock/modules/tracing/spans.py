"""What is known of a request as part of a trace, and the span that is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.fields import all_values
from penstock.http.request import Request
from penstock.observe.tracing.trace_context import format_parent, new_span, new_trace, parse_parent, parse_state

if TYPE_CHECKING:
    from penstock.modules.tracing.otel import Tracing
    from penstock.observe.tracing.span import Attributes, AttributeValue

LONGEST = 4096
"""Bytes of one text of a span; the rest is cut off."""


class RequestTrace:
    """A request as part of a trace: `parent` is the client's span, b"" without one."""

    __slots__ = ("own", "parent", "parent_sampled", "sampled", "state", "told", "trace")

    def __init__(self, request: Request, *, extracts: bool) -> None:
        self.parent = b""
        self.parent_sampled = False
        self.state = ""
        head = request.head
        parent = None
        if extracts and "traceparent" in head.fields:
            parent = parse_parent(all_values(head.headers, "traceparent"))
        if parent is None:
            self.trace = new_trace()
        else:
            self.trace, self.parent, self.parent_sampled = parent.trace, parent.span, parent.sampled
            if "tracestate" in head.fields:
                self.state = parse_state(all_values(head.headers, "tracestate"))
        self.own = new_span()
        self.sampled = False
        self.told = False
        """Whether its span is made at the request's end."""

    def inject(self, request: Request) -> None:
        """Say it in the request's own headers, in place of what the client has said."""
        head = request.head
        given = [("traceparent", format_parent(self.trace, self.own, sampled=self.sampled))]
        if self.state:
            given.append(("tracestate", self.state))
        headers = head.headers
        if "traceparent" in head.fields or "tracestate" in head.fields:
            headers = [pair for pair in headers if pair[0].lower() not in ("traceparent", "tracestate")]
        head.give([*headers, *given])


def name_of(request: Request, settings: Tracing) -> str:
    """Return the name of a request's span: the location's, unless another one is given."""
    if settings.span_name is not None:
        return settings.span_name.evaluate(request)[:LONGEST]
    return "" if request.location.kind == "server" else request.location.name


def outcome(status: int, sent: int) -> Attributes:
    """Say what became of a request; `sent` are bytes of a body."""
    answered = ("http.response_content_length", sent)
    return (answered, ("http.status_code", status)) if status else (answered,)


def attributes_of(request: Request, settings: Tracing) -> Attributes:
    """Say all that spans say of a request but what became of it."""
    head, location, connection = request.head, request.location, request.connection
    scheme = connection.scheme
    said: list[tuple[str, AttributeValue]] = [("http.method", request.method), ("http.target", head.target[:LONGEST])]
    if location.kind != "server" and location.name:
        said.append(("http.route", location.name))
    said += (("http.scheme", scheme), ("http.flavor", head.protocol[5:]))
    agent = head.fields.get("user-agent")
    if agent is not None:
        said.append(("http.user_agent", agent[:LONGEST]))
    said += (
        ("http.request_content_length", head.content_length or 0),
        ("net.host.name", (request.server.name or head.host)[:LONGEST]),
    )
    port = connection.local_port
    if port and port != (443 if scheme == "https" else 80):
        said.append(("net.host.port", port))
    said.append(("net.sock.peer.addr", connection.client_address))
    if connection.client_port:
        said.append(("net.sock.peer.port", connection.client_port))
    for attribute in settings.span_attrs:
        value = attribute.value.evaluate(request)[:LONGEST]
        said.append((attribute.name, (value,) if attribute.several else value))
    return tuple(said)
