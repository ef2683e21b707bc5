"""Two languages of variables: a name may be in one, in both, or made anew in each."""

from __future__ import annotations

import pytest

from penstock.config.vocabulary import Vocabulary


def test_a_name_is_declared_once() -> None:
    words = Vocabulary("x")
    words.variable("a")(lambda request: "1")
    with pytest.raises(AssertionError):
        words.variable("a")(lambda request: "2")


def test_what_is_taken_over_is_the_same() -> None:
    one, other = Vocabulary("one"), Vocabulary("other")
    one.variable("a", late=True)(lambda request: "1")
    one.family("b_")(lambda name: lambda request: name)
    other.take_over(one, "a", "b_")
    assert other.variables["a"] is one.variables["a"]
    member = other.of_family("b_c")
    assert member is not None and member.get(None) == "c"


def test_what_is_always_empty_says_why() -> None:
    words = Vocabulary("x")
    words.absent("a", "b_", why="nobody knows")
    member = words.of_family("b_c")
    assert member is not None
    assert [words.variables["a"].absent, member.absent] == ["nobody knows"] * 2
    assert words.of_family("c") is None
