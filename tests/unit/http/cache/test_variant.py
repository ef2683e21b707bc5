"""Which requests get the same of several answers under one key."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.http.cache.variant import variant_of

HEADERS = st.lists(st.tuples(st.sampled_from(["A", "a", "B", "Accept-Encoding"]), st.text("ab, :\r", max_size=4)))


def test_only_headers_that_are_named_count() -> None:
    first = variant_of(b"k", "X-A", [("x-a", "1"), ("X-B", "1")])
    assert first == variant_of(b"k", "x-a", [("X-B", "2"), ("X-A", "1")])
    assert first != variant_of(b"k", "X-A", [("X-A", "2")])
    assert first != variant_of(b"other", "X-A", [("X-A", "1")])


def test_lists_are_compared_without_their_spaces() -> None:
    first = variant_of(b"k", "Accept-Encoding", [("Accept-Encoding", "gzip, br")])
    assert first == variant_of(b"k", "Accept-Encoding", [("Accept-Encoding", "gzip,br")])
    assert first != variant_of(b"k", "Accept-Encoding", [("Accept-Encoding", "br, gzip")])


def test_an_empty_header_is_not_none() -> None:
    assert variant_of(b"k", "a", [("a", "")]) != variant_of(b"k", "a", [])


@given(HEADERS, HEADERS)
def test_two_requests_with_other_values_are_two(one: list[tuple[str, str]], two: list[tuple[str, str]]) -> None:
    def values(headers: list[tuple[str, str]]) -> list[list[str]]:
        return [[value for name, value in headers if name.lower() == wanted] for wanted in ("a", "b")]

    same = variant_of(b"k", "a, b", one) == variant_of(b"k", "a, b", two)
    joined = [[(len(found), ",".join(found)) for found in values(each)] for each in (one, two)]
    assert same is (joined[0] == joined[1])
