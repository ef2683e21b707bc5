"""What a span says (https://opentelemetry.io/docs/specs/otel/trace/api/#span), as plain values.

Nothing here needs a library: a worker without an exporter has this and no more.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

AttributeValue: TypeAlias = "str | int | tuple[str, ...]"
"""A text whose characters are bytes, a number from 0 up, or a list of texts."""
Attributes: TypeAlias = "tuple[tuple[str, AttributeValue], ...]"
SERVER, INTERNAL = 2, 1
"""Kinds of spans (`SpanKind` in trace.proto)."""


class SpanRecord(NamedTuple):
    """A span that has ended. `trace` has 16 bytes, `own`, `parent` and `link` have 8, the last two b"" where there is
    none; `link` is another span of the trace that this one goes on from. `started` and `ended` are seconds since 1970.
    """

    trace: bytes
    own: bytes
    parent: bytes
    state: str
    name: str
    started: float
    ended: float
    attributes: Attributes
    kind: int = SERVER
    link: bytes = b""
    failed: bool = False
