"""Spans as OTLP has them, by OpenTelemetry's own messages: the library `opentelemetry-proto`, an extra.

A span becomes bytes when it ends, in the worker that has served the request: so it is known how much waits, and a batch
is little work at once. For each name of an attribute a message is kept and filled in again and again; a span is what
these write, one behind the other, as protobuf merges messages. `experiments/tracing.md` says what that saves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from penstock.observe.tracing.span import SpanRecord

_Form: TypeAlias = "tuple[AnyValue, Callable[[], bytes]]"
"""The place for an attribute's value, and what writes the span that has this attribute and nothing else."""


class SpanWriter:
    """Writes the spans of one sender; `resource` says who that is, by names and values."""

    __slots__ = ("_envelope", "_forms")

    def __init__(self, resource: dict[str, str], version: str) -> None:
        said = [
            KeyValue(key=_unicode(name), value=AnyValue(string_value=_unicode(resource[name]))) for name in resource
        ]
        scope = ScopeSpans(scope=InstrumentationScope(name="penstock", version=version))
        self._envelope = ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=Resource(attributes=said), scope_spans=[scope])]
        )
        self._forms: dict[str, _Form] = {}
        """By names of attributes, all of which come from the configuration."""

    def written(self, record: SpanRecord) -> bytes:
        """Write a span."""
        forms = self._forms
        parts = []
        for name, value in record.attributes:
            place, write = forms.get(name) or self._form(name)
            if isinstance(value, str):
                place.string_value = value if value.isascii() else _unicode(value)
            elif isinstance(value, int):
                place.int_value = value
            else:
                texts = place.array_value.values
                del texts[:]
                texts.extend(AnyValue(string_value=_unicode(each)) for each in value)
            parts.append(write())
        span = Span(
            trace_id=record.trace,
            span_id=record.own,
            parent_span_id=record.parent,
            trace_state=record.state,
            name=_unicode(record.name),
            kind=record.kind,  # type: ignore[arg-type]  # a number, as its enumeration has it
            start_time_unix_nano=int(record.started * 1e6) * 1000,
            end_time_unix_nano=int(record.ended * 1e6) * 1000,
        )
        if record.link:
            span.links.add(trace_id=record.trace, span_id=record.link)
        if record.failed:
            span.status.code = Status.STATUS_CODE_ERROR
        parts.append(span.SerializeToString())
        return b"".join(parts)

    def _form(self, name: str) -> _Form:
        span = Span(attributes=[KeyValue(key=_unicode(name), value=AnyValue(int_value=0))])
        made = self._forms[name] = (span.attributes[0].value, span.SerializeToString)
        return made

    def batch(self, spans: list[bytes]) -> bytes:
        """Write an ExportTraceServiceRequest for spans that are written."""
        made = ExportTraceServiceRequest()
        made.CopyFrom(self._envelope)
        places = made.resource_spans[0].scope_spans[0].spans
        for each in spans:
            places.add().MergeFromString(each)
        written: bytes = made.SerializeToString()
        return written

    def rejected(self, answer: bytes) -> int:
        """Read from a collector's answer how many spans it did not take. What is no such answer says none."""
        try:
            count: int = ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
        except DecodeError:
            return 0
        return max(0, count)


def _unicode(text: str) -> str:
    """Text whose characters are bytes, as UTF-8 is read; what is none of it becomes U+FFFD."""
    return text if text.isascii() else text.encode("latin-1", "replace").decode("utf-8", "replace")
