"""Words of another process: whatever is not as expected is noticed, by name, and nothing passes for another thing."""

from __future__ import annotations

import json
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.shared.json_fields import LONGEST, MOST, Fields, Strange, finite

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

READERS = {
    "text": (lambda fields: fields.text("a"), str),
    "whole": (lambda fields: fields.whole("a"), int),
    "real": (lambda fields: fields.real("a"), float),
    "span": (lambda fields: fields.span("a"), float),
    "flag": (lambda fields: fields.flag("a"), bool),
    "items": (lambda fields: fields.items("a"), list),
    "texts": (lambda fields: fields.texts("a"), list),
    "objects": (lambda fields: fields.objects("a"), list),
    "object": (lambda fields: fields.object("a"), Fields),
}


@pytest.mark.parametrize("reader", READERS)
@given(value=JSON)
def test_a_reader_gives_its_type_or_says_what_is_wrong(reader: str, value: object) -> None:
    read, kind = READERS[reader]
    value = json.loads(json.dumps(value))
    try:
        found = read(Fields({"a": value}, "tunnel"))
    except Strange as error:
        assert str(error).startswith("tunnel")
    else:
        assert type(found) is kind


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        ("text", "x" * (LONGEST + 1)),
        ("whole", -1),
        ("whole", 2**63),
        ("whole", True),
        ("whole", 1.0),
        ("real", json.loads("NaN")),
        ("real", json.loads("Infinity")),
        ("real", 10**400),
        ("real", False),
        ("span", -0.1),
        ("flag", 1),
        ("items", [0] * (MOST + 1)),
        ("texts", ["a", 1]),
        ("objects", [{}, []]),
        ("object", None),
    ],
)
def test_what_is_nearly_right_is_wrong(reader: str, value: object) -> None:
    with pytest.raises(Strange):
        READERS[reader][0](Fields({"a": value}))


def test_what_is_at_the_bounds_is_taken() -> None:
    fields = Fields({"a": 0, "b": 7, "c": None, "d": None, "e": "x", "f": 2**63 - 1})
    assert (fields.whole("a"), fields.whole("b", 7), fields.span("c"), fields.real_or_none("d")) == (0, 7, inf, None)
    assert fields.one_of("e", {"x": 5}) == 5
    assert fields.whole("f") == 2**63 - 1
    fields.end()


def test_a_field_is_taken_once_and_none_is_left() -> None:
    fields = Fields({"a": 1, "b": 2})
    fields.whole("a")
    with pytest.raises(Strange, match="it has no a"):
        fields.whole("a")
    with pytest.raises(Strange, match="unknown fields: b"):
        fields.end()


def test_where_it_is_wrong_is_said_all_the_way_down() -> None:
    fields = Fields({"lines": [{"gaps": [{"number": "x"}]}]}, "ending")
    with pytest.raises(Strange, match=r"ending\.lines\.gaps\.number is not a whole number"):
        fields.objects("lines")[0].objects("gaps")[0].whole("number")


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_what_is_no_object_has_no_fields(value: object) -> None:
    with pytest.raises(Strange, match="no object"):
        Fields(value)


def test_null_stands_for_none_only_where_it_may() -> None:
    fields = Fields({"a": None, "b": None, "c": None})
    assert fields.objects_or_none("a") is None
    assert fields.object_or_none("b") is None
    assert fields.plain_or_none("c") is None
    with pytest.raises(Strange):
        Fields({"a": 1}).objects_or_none("a")


@given(seconds=st.floats(0, 1e17) | st.just(inf))
def test_times_come_back_as_they_were(seconds: float) -> None:
    assert Fields(json.loads(json.dumps({"a": finite(seconds)}))).span("a") == seconds
