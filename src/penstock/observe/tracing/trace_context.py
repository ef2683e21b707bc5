"""W3C Trace Context (https://www.w3.org/TR/trace-context/): who belongs to which trace, as headers say it.

    traceparent: 00-<trace: 32 hex digits>-<span: 16 hex digits>-<flags: 2 hex digits>
    tracestate:  what tracing systems add for themselves, passed on as it is
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(r"[\x20-\x7e\t]*")
SAMPLED = 1
LONGEST_STATE = 512
"""Characters of a `tracestate` that everybody has to pass on (section 3.3.1.5); a longer one is dropped."""


@dataclass(frozen=True, slots=True)
class TraceParent:
    """Whose child a request is: 16 bytes of a trace, 8 bytes of a span, and whether that is recorded."""

    trace: bytes
    span: bytes
    sampled: bool


def parse_parent(values: list[str]) -> TraceParent | None:
    """Read `traceparent`; None where there is none, several, or one that is not as it has to be (section 3.2)."""
    if len(values) != 1:
        return None
    found = _PARENT.fullmatch(values[0])
    if found is None or (found[1] == "00" and found[5] is not None):
        return None
    return TraceParent(bytes.fromhex(found[2]), bytes.fromhex(found[3]), bool(int(found[4], 16) & SAMPLED))


def parse_state(values: list[str]) -> str:
    """Join the lines of `tracestate`; "" where they are too long, or hold what does not belong into a header."""
    text = ",".join(value for value in values if value)
    return text if len(text) <= LONGEST_STATE and _STATE.fullmatch(text) else ""


def format_parent(trace: bytes, span: bytes, *, sampled: bool) -> str:
    """Write `traceparent`, version 00."""
    return f"00-{trace.hex()}-{span.hex()}-0{int(sampled)}"


def new_span() -> bytes:
    """Make up the 8 bytes of a span; never all zero."""
    while True:
        made = os.urandom(8)
        if any(made):
            return made


def new_trace() -> bytes:
    """Make up the 16 bytes of a trace; never all zero."""
    return new_span() + new_span()
