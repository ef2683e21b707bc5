"""The bookkeeping of a cache: places, uses, claims, and what a dead process leaves behind."""

import os

import pytest

from penstock.shared.cache_index import PLACE, WINDOW, CacheIndex


def digest(number: int) -> bytes:
    return number.to_bytes(16, "big")[::-1]


def test_uses_are_counted() -> None:
    index = CacheIndex("one", 1 << 15)
    assert [index.visit(digest(1), 5)[0].uses for _ in range(3)] == [1, 2, 3]
    assert index.visit(digest(2), 5)[0].uses == 1
    assert index.read(digest(3)) is None


def test_one_alone_fetches() -> None:
    index = CacheIndex("one", 1 << 15)
    index.visit(digest(1), 5)
    assert index.claim(digest(1), 10.0, 15.0)
    assert not index.claim(digest(1), 11.0, 20.0)
    assert index.is_claimed(digest(1), 11.0)
    index.release(digest(1), 99.0)  # somebody else's
    assert index.is_claimed(digest(1), 11.0)
    index.release(digest(1), 15.0)
    assert index.claim(digest(1), 11.0, 20.0)
    assert index.claim(digest(1), 20.5, 30.0), "it took too long"


def test_who_is_dead_fetches_nothing() -> None:
    index = CacheIndex("one", 1 << 15)
    index.visit(digest(1), 5)
    pid = os.fork()
    if not pid:
        index.claim(digest(1), 10.0, 1e9)
        os._exit(0)
    os.waitpid(pid, 0)
    assert not index.is_claimed(digest(1), 11.0)
    assert index.claim(digest(1), 11.0, 20.0)


def test_a_full_window_loses_what_was_asked_for_longest_ago() -> None:
    index = CacheIndex("one", PLACE * WINDOW)
    for number in range(1, WINDOW + 1):
        assert index.add(digest(number), 100, number, 1000 + number) == b""
    index.used(digest(1), 2000)
    assert index.add(digest(99), 100, 99, 2000) == digest(2)
    assert index.read(digest(2)) is None
    assert index.read(digest(1)) is not None
    assert {place.digest for place in index.all(0, index.places)} == {
        digest(number) for number in (1, *range(3, WINDOW + 1), 99)
    }


def test_what_changed_meanwhile_is_not_forgotten() -> None:
    index = CacheIndex("one", 1 << 15)
    index.add(digest(1), 100, 7, 1000)
    (seen,) = index.all(0, index.places)
    index.used(digest(1), 1001)
    assert not index.forget(digest(1), seen)
    (seen,) = index.all(0, index.places)
    assert index.forget(digest(1), seen)
    assert not index.forget(digest(1))


def test_a_status_in_place_of_a_file() -> None:
    index = CacheIndex("one", 1 << 15)
    index.fail(digest(1), 404, 1010, 1000)
    assert index.visit(digest(1), 1005)[0].error == 404
    assert index.visit(digest(1), 1011)[0].error == 0
    index.fail(digest(1), 404, 1050, 1020)
    index.add(digest(1), 1, 1, 1021)
    assert index.visit(digest(1), 1022)[0].error == 0


def test_it_has_a_least_size() -> None:
    with pytest.raises(ValueError, match="at least"):
        CacheIndex("one", PLACE)


def test_whether_all_is_known_is_kept_with_it() -> None:
    index = CacheIndex("one", 1 << 15)
    assert not index.loaded
    index.loaded = True
    assert index.loaded
