"""What an answer says of how long it may be kept."""

import pytest

from penstock.http.cache.freshness import FOREVER, judge

NOW = 1_700_000_000
LATER = "Thu, 31 Dec 2037 23:55:55 GMT"
NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("headers", "keeps", "valid"),
    [
        ([], True, 0),
        ([("Cache-Control", "max-age=60")], True, NOW + 60),
        ([("cache-control", "public, MAX-AGE=60; x")], True, NOW + 60),
        ([("Cache-Control", "max-age=60, s-maxage=5")], True, NOW + 5),
        ([("Cache-Control", "max-age=0")], False, 0),
        ([("Cache-Control", "max-age=-1")], False, 0),
        ([("Cache-Control", "max-age=6x")], False, 0),
        ([("Cache-Control", "max-age=" + "9" * 40)], True, FOREVER),
        ([("Cache-Control", "no-cache")], False, 0),
        ([("Cache-Control", "Private")], False, 0),
        ([("Cache-Control", "no-store"), ("X-Accel-Expires", "9")], True, NOW + 9),
        ([("X-Accel-Expires", "9"), ("Cache-Control", "no-store, max-age=1")], True, NOW + 9),
        ([("X-Accel-Expires", "0"), ("Cache-Control", "max-age=10")], False, NOW + 10),
        ([("X-Accel-Expires", f"@{NOW + 7}")], True, NOW + 7),
        ([("X-Accel-Expires", "soon")], True, 0),
        ([("Expires", LATER)], True, 2145916555),
        ([("Expires", "0")], False, 0),
        ([("Expires", "0"), ("Cache-Control", "max-age=3")], True, NOW + 3),
        ([("Cache-Control", "max-age=3"), ("Expires", "0")], True, NOW + 3),
        ([("Set-Cookie", "a=b"), ("Cache-Control", "max-age=3")], False, NOW + 3),
        ([("Vary", "*")], False, 0),
        ([("Vary", "a, *")], False, 0),
        ([("Vary", "a"), ("Vary", "x" * 128)], False, 0),
    ],
)
def test_what_is_kept_and_until_when(headers: list[tuple[str, str]], keeps: bool, valid: int) -> None:
    found = judge(headers, NOTHING, NOW)
    assert (found.keeps, found.valid) == (keeps, valid)


def test_how_long_it_may_be_given_behind_its_time() -> None:
    found = judge([("Cache-Control", "max-age=1, stale-while-revalidate=5, stale-if-error=9")], NOTHING, NOW)
    assert (found.updating, found.error) == (5, 9)
    found = judge([("Cache-Control", "max-age=1, stale-while-revalidate=5")], NOTHING, NOW)
    assert (found.updating, found.error) == (5, 5)
    assert not judge([("Cache-Control", "stale-if-error=x")], NOTHING, NOW).keeps


@pytest.mark.parametrize("name", ["X-Accel-Expires", "Expires", "Cache-Control", "Set-Cookie", "Vary"])
def test_what_is_ignored_counts_for_nothing(name: str) -> None:
    found = judge([(name, "*")], frozenset({name.lower()}), NOW)
    assert (found.keeps, found.valid, found.vary) == (True, 0, "")


def test_several_vary_are_one() -> None:
    assert judge([("Vary", "a"), ("vary", "B")], NOTHING, NOW).vary == "a, B"
