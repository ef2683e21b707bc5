"""Ranges, as nginx cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.ranges import Unsatisfiable, content_range, first_wanted, parse_content_range, parse_range


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-99", [(0, 100)]),
        ("bytes=10-", [(10, 100)]),
        ("bytes=-5", [(95, 100)]),
        ("bytes=-500", [(0, 100)]),
        ("bytes=90-1000", [(90, 100)]),
        ("BYTES= 1 - 2 ", [(1, 3)]),
        ("bytes=0-1,5-6, -1", [(0, 2), (5, 7), (99, 100)]),
        ("bytes=0-1,200-300", [(0, 2)]),
        ("bytes=5-4,1-1", [(1, 2)]),
        ("bytes=00000000000000000000000-1", [(0, 2)]),
        ("bytes=0-9223372036854775807", [(0, 100)]),
        ("bytes=0-60,50-80", [(0, 61), (50, 81)]),
    ],
)
def test_ranges(value: str, expected: list[tuple[int, int]]) -> None:
    assert parse_range(value, 100) == expected


@pytest.mark.parametrize("value", ["", "items=0-1", "bytes", "bytes=", "bytes 0-1", "bytes=0-60,0-60"])
def test_as_if_it_were_not_there(value: str) -> None:
    assert parse_range(value, 100) is None


@pytest.mark.parametrize(
    "value",
    [
        "bytes=x-",
        "bytes=--1",
        "bytes=1",
        "bytes=1-x",
        "bytes=100-",
        "bytes=100-200",
        "bytes=-0",
        "bytes=5-4",
        "bytes=0-1,",
        "bytes=,0-1",
        "bytes=0-9223372036854775808",
        "bytes=1\t-2",
    ],
)
def test_unsatisfiable(value: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(value, 100)


def test_an_empty_body() -> None:
    assert parse_range("bytes=0-0", 0) is None
    assert parse_range("bytes=-1", 0) is None
    with pytest.raises(Unsatisfiable):
        parse_range("bytes=1-1", 0)


def test_max_ranges() -> None:
    assert parse_range("bytes=0-0,2-2", 100, 0) is None
    assert parse_range("bytes=0-0,2-2", 100, 1) is None
    assert parse_range("bytes=0-0,2-2", 100, 2) == [(0, 1), (2, 3)]


def test_many_small_parts_are_not_worth_it() -> None:
    assert parse_range("bytes=" + ",".join(f"{at}-{at}" for at in range(17)), 100) is None
    assert parse_range("bytes=" + ",".join(f"{at}-{at}" for at in range(16)), 100) is not None


def test_content_range() -> None:
    assert content_range(0, 5, 10) == "bytes 0-4/10"


@given(st.text("0123456789-, =bytes", max_size=30), st.integers(0, 1000), st.integers(0, 5))
def test_anything(text: str, size: int, most: int) -> None:
    try:
        ranges = parse_range("bytes=" + text, size, most)
    except Unsatisfiable:
        return
    if ranges is not None:
        assert 1 <= len(ranges) <= most
        assert all(0 <= start < end <= size for start, end in ranges)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-1/2", (0, 2, 2)),
        ("bytes  5 - 9 / 100 ", (5, 10, 100)),
        ("bytes 5-9/*", (5, 10, None)),
        ("bytes */100", None),
        ("bytes 5-/100", None),
        ("bytes 5-9", None),
        ("bytes 5-9/100x", None),
        ("bytes", None),
        ("bits 0-1/2", None),
        ("bytes 0-99999999999999999999/1", None),
        ("bytes \u0660-1/2", None),
        ("", None),
    ],
)
def test_content_ranges(value: str, expected: tuple[int, int, int | None] | None) -> None:
    assert parse_content_range(value) == expected


@given(st.integers(0, 2**62), st.integers(1, 2**32), st.integers(0, 2**32))
def test_a_content_range_is_read_as_it_is_written(start: int, length: int, more: int) -> None:
    end, size = start + length, start + length + more
    assert parse_content_range(content_range(start, end, size)) == (start, end, size)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=7-9", 7),
        ("bytes=7-", 7),
        ("BYTES= 7 - 9", 7),
        ("bytes=-9", 0),
        ("bytes=7-9,11-12", 0),
        ("bytes=x", 0),
        ("items=7-9", 0),
        ("", 0),
        ("bytes=99999999999999999999-", 0),
    ],
)
def test_where_the_one_part_begins(value: str, expected: int) -> None:
    assert first_wanted(value) == expected
