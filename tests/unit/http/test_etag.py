"""Conditions, as nginx decides them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.dates import http_date
from penstock.http.etag import (
    matches,
    matches_weakly,
    modified_after,
    modified_exactly,
    still_current,
    unmodified,
)


@pytest.mark.parametrize(
    ("listed", "etag", "strong", "weak"),
    [
        ('"a"', '"a"', True, True),
        ('"b", "a"', '"a"', True, True),
        ('"b","a" ', '"a"', True, True),
        ('"b" "a"', '"a"', False, False),
        ('"a"x', '"a"', False, False),
        ('W/"a"', '"a"', False, True),
        ('"a"', 'W/"a"', False, True),
        ('W/"a"', 'W/"a"', True, True),
        ('"x", W/"a"', '"a"', False, True),
        ('"a,b", "c"', '"a,b"', True, True),
        ("*", '"a"', True, True),
        ("*", None, True, True),
        ('"a"', None, False, False),
        ("", '"a"', False, False),
        (",,,", '"a"', False, False),
    ],
)
def test_entity_tags(listed: str, etag: str | None, strong: bool, weak: bool) -> None:
    assert matches(listed, etag) is strong
    assert matches_weakly(listed, etag) is weak


def test_dates() -> None:
    now = 1_700_000_000
    earlier, same, later = http_date(now - 1), http_date(now), http_date(now + 1)
    assert [modified_exactly(date, now) for date in (earlier, same, later)] == [True, False, True]
    assert [modified_after(date, now) for date in (earlier, same, later)] == [True, False, False]
    assert [unmodified(date, now) for date in (earlier, same, later)] == [False, True, True]
    assert modified_exactly(same, None)
    assert modified_after("rubbish", now)
    assert not unmodified("rubbish", now)
    assert not unmodified(same, None)


def test_if_range() -> None:
    now = 1_700_000_000
    assert still_current('"a"', '"a"', None)
    assert not still_current('"a"', '"b"', now)
    assert not still_current('"a"', None, now)
    assert still_current(http_date(now), '"a"', now)
    assert not still_current(http_date(now + 1), '"a"', now)
    assert not still_current(http_date(now), '"a"', None)


@given(st.text('W/"a, \t*', max_size=20), st.text('W/"a,', max_size=5))
def test_anything(listed: str, etag: str) -> None:
    matches(listed, etag)
    matches_weakly(listed, etag)
