"""Spans in protobuf, read back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from harness.otlp import attributes
from penstock.observe.tracing.otlp import SpanWriter
from penstock.observe.tracing.span import INTERNAL, Attributes, SpanRecord

TRACE, OWN, PARENT, OTHER = bytes(range(16)), b"12345678", b"abcdefgh", b"ABCDEFGH"


def record(attributes: Attributes = (), name: str = "") -> SpanRecord:
    return SpanRecord(TRACE, OWN, b"", "", name, 0.0, 0.0, attributes)


def read(*records: SpanRecord) -> Any:
    writer = SpanWriter({"service.name": "me"}, "1.2")
    batch = writer.batch([writer.written(each) for each in records])
    (each,) = ExportTraceServiceRequest.FromString(batch).resource_spans
    (scope,) = each.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("penstock", "1.2")
    assert attributes(each.resource) == {"service.name": "me"}
    return list(scope.spans)


def test_all_that_a_span_has() -> None:
    said: Attributes = (("a", "b"), ("n", 300), ("l", ("x", "y")))
    began, ended = 1_700_000_000.25, 1_700_000_001.5
    full = SpanRecord(TRACE, OWN, PARENT, "k=v", "/name", began, ended, said, kind=INTERNAL, link=OTHER, failed=True)
    one, two = read(SpanRecord(TRACE, OWN, b"", "", "", 1.0, 2.0, ()), full)
    assert (one.kind, one.name, one.parent_span_id, one.trace_state, one.status.code) == (2, "", b"", "", 0)
    assert (two.trace_id, two.span_id, two.parent_span_id, two.trace_state) == (TRACE, OWN, PARENT, "k=v")
    assert (two.name, two.kind, two.status.code) == ("/name", 1, 2)
    assert (two.start_time_unix_nano, two.end_time_unix_nano) == (1_700_000_000_250_000_000, 1_700_000_001_500_000_000)
    assert [(link.trace_id, link.span_id) for link in two.links] == [(TRACE, OTHER)]
    assert attributes(two) == {"a": "b", "n": 300, "l": ["x", "y"]}


def test_what_one_span_says_does_not_stay_for_the_next() -> None:
    for values in ((("x", "y"), ("z",), 5, "text", ("again",)), ("", 0, ("",), "b")):
        spans = read(*(record((("same", value),)) for value in values))
        assert [attributes(each) for each in spans] == [
            {"same": list(value) if isinstance(value, tuple) else value} for value in values
        ]


@given(st.binary(max_size=400), st.integers(0, 2**63 - 1), st.text(st.characters(max_codepoint=255), max_size=300))
def test_whatever_a_client_sends_is_written(data: bytes, number: int, name: str) -> None:
    text = data.decode("latin-1")
    (one,) = read(record((("text", text), ("number", number), ("list", (text,))), name))
    expected = data.decode("utf-8", "replace")
    assert attributes(one) == {"text": expected, "number": number, "list": [expected]}
    assert one.name == name.encode("latin-1").decode("utf-8", "replace")


def rejected(answer: bytes) -> int:
    return SpanWriter({}, "1").rejected(answer)


def test_what_a_collector_did_not_take() -> None:
    partial = ExportTracePartialSuccess(rejected_spans=300, error_message="too many")
    assert rejected(ExportTraceServiceResponse(partial_success=partial).SerializeToString()) == 300
    assert rejected(ExportTraceServiceResponse().SerializeToString()) == 0


@pytest.mark.parametrize("data", [b"\xff", b"\x0a", b"\x0a\xff", b"\x0a\x02\x08", b"\x08\x01", b"{}", b"\x80" * 100])
def test_what_is_no_answer_says_nothing(data: bytes) -> None:
    assert rejected(data) == 0


@given(st.binary(max_size=60))
def test_no_answer_is_a_crash(data: bytes) -> None:
    assert rejected(data) >= 0
