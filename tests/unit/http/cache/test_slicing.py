"""The slices of an answer: what is asked for, and what is taken for it."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.cache.slicing import BadSlice, Slicing
from penstock.http.request import Answer
from penstock.plan.location import Location

HERE = cast("Location", object())


def part(start: int, end: int, total: int, etag: str | None = '"e"') -> Answer:
    answer = Answer(206, b"", length=end - start, headers=[("Content-Range", f"bytes {start}-{end - 1}/{total}")])
    answer.etag = etag
    return answer


@given(st.integers(1, 50), st.integers(1, 500), st.data())
def test_slices_are_the_whole_wherever_one_begins(size: int, total: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, total - 1))
    slicing = Slicing(HERE, size, place)
    assert slicing.start <= place < slicing.start + size
    covered = slicing.start
    while covered < total:
        slicing.ask_for(covered)
        first, last = map(int, slicing.range.removeprefix("bytes=").split("-"))
        start, end, whole = slicing.place_of(part(first, min(last + 1, total), total))
        assert (start, whole) == (covered, total)
        covered = end
    assert covered == total


def test_a_tag_that_came_holds_for_all() -> None:
    slicing = Slicing(HERE, 4, 0)
    slicing.place_of(part(0, 4, 8))
    slicing.ask_for(4)
    for etag in (None, 'W/"e"', '"f"'):
        with pytest.raises(BadSlice, match="etag mismatch"):
            slicing.place_of(part(4, 8, 8, etag))
    assert slicing.place_of(part(4, 8, 8)) == (4, 8, 8)


def test_without_a_tag_the_size_of_the_whole_holds() -> None:
    slicing = Slicing(HERE, 4, 0)
    slicing.place_of(part(0, 4, 12, None))
    slicing.ask_for(4)
    with pytest.raises(BadSlice, match="unexpected complete length in slice response: 13, expected: 12"):
        slicing.place_of(part(4, 8, 13, None))


def test_a_slice_is_as_long_as_it_says() -> None:
    answer = part(0, 4, 8)
    answer.length = 5
    with pytest.raises(BadSlice, match="unexpected length in slice response: 5, expected: 4"):
        Slicing(HERE, 4, 0).place_of(answer)
    answer.length = None
    assert Slicing(HERE, 4, 0).place_of(answer) == (0, 4, 8)


def test_none_of_it_is_no_slice() -> None:
    with pytest.raises(BadSlice, match="unexpected range"):
        Slicing(HERE, 4, 8).place_of(part(8, 8, 8))
