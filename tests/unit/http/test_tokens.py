"""The compiled reader of header lines takes what the expressions of `fields.py` take, and gives what they give."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.http import head, response
from penstock.http.errors import BadRequest, BadResponse
from penstock.http.fields import (
    CONTROLS,
    LOWER,
    Headers,
    first_values,
    plain_fields,
    plain_or_underscore_fields,
)

tokens: ModuleType = pytest.importorskip("penstock.http._tokens", reason="nothing is compiled in this installation")

LINE = st.text("aA_-: \t\r\n\x00\x01\x7f\xe9", max_size=8)
WHOLE = st.tuples(st.sampled_from(["a", "A", "b-c", "x_y", ""]), st.sampled_from([":", ": ", ":  "]), LINE).map("".join)


def in_python(text: str, *, underscores: bool, strict: bool) -> tuple[Headers, dict[str, str]] | None:
    """Do what `parse_request` and `parse_response` do where nothing is compiled."""
    headers = (plain_or_underscore_fields if underscores else plain_fields)(text)
    bad = text.encode("latin-1").translate(None, CONTROLS) != text.encode("latin-1") if strict else "\0" in text
    # A line feed by itself is for the slow way (`head.py`), where it ends a line, too.
    bad = bad or "\n" in text.replace("\r\n", "")
    if len(headers) != text.count("\n") - 1 or not text.endswith("\r\n") or not f"\n{text}".endswith("\n\r\n") or bad:
        return None
    return headers, first_values(headers)


@settings(max_examples=500)
@given(
    lines=st.lists(st.one_of(LINE, WHOLE), max_size=4),
    end=st.sampled_from(["\r\n", "\n", "", "\r\n\r\n"]),
    underscores=st.booleans(),
    strict=st.booleans(),
)
@example(lines=["a: b", "A: c", "d:"], end="\r\n", underscores=False, strict=True)
@example(lines=["A:\n"], end="\r\n", underscores=False, strict=False)
@example(lines=["a: "], end="\r\n", underscores=False, strict=True)
@example(lines=["a: \x01"], end="\r\n", underscores=False, strict=False)
def test_both_take_the_same(lines: list[str], end: str, underscores: bool, strict: bool) -> None:
    text = "".join(f"{line}\r\n" for line in lines) + end
    expected = in_python(text, underscores=underscores, strict=strict)
    data = b"first line\r\n" + text.encode("latin-1")
    for _ in range(3):  # the third time, what was made of a line before is used
        found = tokens.fields(data, 12, LOWER, underscores, strict)
        assert found == expected
        if found is not None:
            assert list(found[1]) == list(expected[1])  # type: ignore[index]


@given(
    lines=st.lists(st.one_of(LINE, WHOLE), max_size=4),
    first=st.sampled_from(["GET / HTTP/1.1", "GET  / HTTP/1.0", ""]),
)
def test_heads_are_alike_with_it_and_without(lines: list[str], first: str) -> None:
    data = "".join(f"{line}\r\n" for line in (first, "Host: a", *lines, "")).encode("latin-1")
    answer = data.replace(first.encode(), b"HTTP/1.1 200 OK", 1) if first else data
    seen = []
    for reader in (tokens.fields, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(head, "plain_lines", reader)
            patch.setattr(response, "plain_lines", reader)
            seen.append((_told(head.parse_request, data), _told(response.parse_response, answer)))
    assert seen[0] == seen[1]


def _told(parse, data: bytes) -> object:
    try:
        found = parse(data)
    except (BadRequest, BadResponse) as error:
        return error.status, error.reason
    names = [name for name in type(found).__slots__ if name not in ("like", "passed", "written")]
    return [getattr(found, name) for name in names]


def test_a_line_that_comes_again_is_the_same_object_and_read_as_it_is_asked_for() -> None:
    data = b"X_Y: a\tb\r\nCookie: one\r\n\r\n"
    first, second, third, fourth = (tokens.fields(data, 0, LOWER, True, False) for _ in range(4))
    assert first == fourth and third[0][0] is fourth[0][0] and first[0][0] is not fourth[0][0]
    assert third[0] is not fourth[0] and third[1] is not fourth[1], "whoever changes one changes no other"
    assert tokens.fields(data, 0, LOWER, False, False) is None
    assert tokens.fields(data, 0, LOWER, True, True) == second
    assert tokens.fields(data, 0, {"X_Y": "other", "Cookie": "cookie"}, True, False)[1]["other"] == "a\tb"
    long = "b" * 300
    for _ in range(4):
        assert tokens.fields(f"A: {long}\r\n\r\n".encode(), 0, LOWER, False, True) == ([("A", long)], {"a": long})


def test_what_it_is_given_is_checked() -> None:
    with pytest.raises(ValueError, match="outside"):
        tokens.fields(b"a: b\r\n\r\n", 20, LOWER, False, True)
    with pytest.raises(TypeError):
        tokens.fields("a: b\r\n\r\n", 0, LOWER, False, True)
    with pytest.raises(TypeError):
        tokens.fields(b"a: b\r\n\r\n", 0, None, False, True)
    assert tokens.fields(b"", 0, LOWER, False, True) is None
