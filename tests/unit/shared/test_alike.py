"""What is made like a model has the same in its slots, compiled or not, and is freed as anything else is."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from functools import partial

import pytest

from penstock.shared import alike


class Base:
    __slots__ = ("first", "second")


class Thing(Base):
    __slots__ = "third"

    def __init__(self) -> None:
        self.first: object = 1
        self.second: object = None
        self.third: object = []


def in_python(model: Thing) -> Callable[[], Thing]:
    """What there is where nothing is compiled."""
    return partial(alike._copier(Thing), model)


WAYS = [pytest.param(alike.like, id="as it is"), pytest.param(in_python, id="python")]


@pytest.mark.parametrize("like", WAYS)
def test_an_object_like_a_model(like: Callable[[Thing], Callable[[], Thing]]) -> None:
    model = Thing()
    another = like(model)
    one, two = another(), another()
    assert one is not two and type(one) is Thing
    assert one.first == 1 and one.second is None and one.third is model.third
    one.first = 2
    assert (two.first, model.first) == (1, 1)


@pytest.mark.parametrize("like", WAYS)
def test_what_is_in_the_slots_is_counted_and_found_by_the_collector(
    like: Callable[[Thing], Callable[[], Thing]],
) -> None:
    model = Thing()
    another = like(model)
    before = sys.getrefcount(model.third)
    made = [another() for _ in range(100)]
    meanwhile = sys.getrefcount(model.third)
    tracked = sum(map(gc.is_tracked, made))
    made.clear()
    after = sys.getrefcount(model.third)
    assert (meanwhile - before, tracked, after - before) == (100, 100, 0)
    loop = another()
    held = Held()
    loop.first, loop.second = loop, held
    gone = weakref.ref(held)
    del loop, held
    gc.collect()
    assert gone() is None


class Held:
    pass


def test_a_class_with_more_than_slots_is_refused() -> None:
    with pytest.raises(TypeError, match="Held has more than slots"):
        alike.like(Held())


def test_the_model_is_held_by_what_makes_others() -> None:
    another = alike.like(Thing())
    gc.collect()
    assert another().third == []


def test_the_compiled_part_does_not_take_nonsense() -> None:
    compiled = pytest.importorskip("penstock.shared._alike", reason="nothing is compiled in this installation")
    for wrong in ((), (Thing(),), (Thing(), "3"), (Thing(), 3, 4)):
        with pytest.raises(TypeError):
            compiled.like(*wrong)
