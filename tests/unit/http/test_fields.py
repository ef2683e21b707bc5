"""Header lines: what one expression takes is what a reader of lines would take, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.fields import (
    LOWER,
    all_values,
    decimal,
    first_values,
    plain_fields,
    plain_or_underscore_fields,
)

NAMES = st.text("aZ0-", min_size=1, max_size=4)
VALUES = st.text(" a:\t\xe9", max_size=6).map(str.strip)
FIELDS = st.lists(st.tuples(NAMES, VALUES.filter(lambda value: not value.endswith(("\t", " ")))), max_size=5)


@given(fields=FIELDS, spaces=st.text(" ", max_size=3))
def test_plain_lines_are_taken_whole(fields: list[tuple[str, str]], spaces: str) -> None:
    text = "".join(f"{name}:{spaces if value else ''}{value}\r\n" for name, value in fields)
    assert plain_fields(text) == fields
    assert plain_or_underscore_fields(text) == fields


@pytest.mark.parametrize("line", ["a_b: 1", "a b: 1", ": 1", "a : 1", "a: 1 ", "a", "\xe9: 1", " a: 1", "a: "])
def test_odd_lines_are_left_to_who_reads_line_by_line(line: str) -> None:
    taken = plain_fields(f"x: 1\r\n{line}\r\ny: 2\r\n")
    assert ("x", "1") in taken
    assert len(taken) < 3 or taken[1] != tuple(re.split(r": *", line, maxsplit=1))


def test_a_line_that_does_not_fit_costs_one_pass() -> None:
    """Else this would take minutes."""
    assert plain_fields("a:" + " " * 200_000 + "\n") == []


def test_an_underscore_is_taken_where_it_may() -> None:
    assert plain_fields("a_b: 1\r\n") == []
    assert plain_or_underscore_fields("a_b: 1\r\n") == [("a_b", "1")]


HEADERS = [("Host", "a"), ("X-One", "1"), ("host", "b"), ("x-one", "2"), ("HOST", "c")]


def test_of_several_values_the_first_counts_and_all_are_kept() -> None:
    assert first_values(HEADERS) == {"host": "a", "x-one": "1"}
    assert all_values(HEADERS, "host") == ["a", "b", "c"]
    assert all_values(HEADERS, "none") == []


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("0" * 50 + "5", 5),
        ("9" * 5000, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1_0", None),
        ("0x1", None),
        ("\xb2", None),
        ("1.0", None),
    ],
)
def test_a_length_is_digits_and_nothing_else(value: str, number: int | None) -> None:
    assert decimal(value) == number


def test_names_of_strangers_do_not_fill_the_memory() -> None:
    for number in range(10_000):
        assert LOWER[f"X-{number}"] == f"x-{number}"
    assert LOWER["X" * 100] == "x" * 100
    assert len(LOWER) <= 2048
    assert "X" * 100 not in LOWER
