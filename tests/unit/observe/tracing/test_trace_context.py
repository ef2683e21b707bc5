"""traceparent and tracestate: what is taken, and what is as if it were not there."""

from __future__ import annotations

import pytest

from penstock.observe.tracing.trace_context import (
    LONGEST_STATE,
    format_parent,
    new_span,
    new_trace,
    parse_parent,
    parse_state,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"01-{TRACE}-{SPAN}-01", True),
        (f"01-{TRACE}-{SPAN}-01-more", True),
        (f"cc-{TRACE}-{SPAN}-01-", True),
    ],
)
def test_taken(text: str, sampled: bool) -> None:
    found = parse_parent([text])
    assert found is not None
    assert (found.trace.hex(), found.span.hex(), found.sampled) == (TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"01-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01 ",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}\u0660-{SPAN}-01",
    ],
)
def test_not_taken(text: str) -> None:
    assert parse_parent([text]) is None


def test_one_parent_or_none() -> None:
    good = f"00-{TRACE}-{SPAN}-01"
    assert parse_parent([]) is None
    assert parse_parent([good, good]) is None


def test_what_is_written_is_taken() -> None:
    trace, own = new_trace(), new_span()
    found = parse_parent([format_parent(trace, own, sampled=True)])
    assert found is not None
    assert (found.trace, found.span, found.sampled) == (trace, own, True)
    assert format_parent(trace, own, sampled=False).endswith("-00")


def test_states() -> None:
    assert parse_state(["a=b", "", "c=d, e=f"]) == "a=b,c=d, e=f"
    assert parse_state([]) == ""
    assert parse_state(["x" * LONGEST_STATE]) == "x" * LONGEST_STATE
    for bad in ("x" * (LONGEST_STATE + 1), "a=\x00", "a=\xe9", "a\nb"):
        assert parse_state([bad]) == ""
