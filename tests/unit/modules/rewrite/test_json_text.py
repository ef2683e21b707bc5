"""Values at paths of JSON: which, how they are written, and what is no JSON; compared with Python's own reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.modules.rewrite.json_text import NotJson, PathNode, extract


def at(text: str, *paths: str, depth: int = 32) -> list[str | None]:
    asked = PathNode()
    for number, path in enumerate(paths):
        asked.add(path, number)
    found = extract(text, asked, depth)
    return [found.get(number) for number in range(len(paths))]


TEXT = r"""
 { "user": {"name": "J\u00f6rg \ud83d\ude00\n", "age" : -1.50e+2, "tags": [ "a", {"b":[]}, true ], "none": null},
   "a.b": {"c]": 1}, "": "empty", "q\"": 2, "twice": 1, "twice": 2, "big": 12345678901234567890 } """


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("user.name", "Jörg 😀\n".encode().decode("latin-1")),
        ("user.age", "-1.50e+2"),
        ("user.tags", '[ "a", {"b":[]}, true ]'),
        ("user.tags[0]", "a"),
        ("user.tags[1]", '{"b":[]}'),
        ("user.tags[1].b", "[]"),
        ("user.tags[2]", "true"),
        ("user.tags[3]", None),
        ("user.tags.0", None),
        ("user.none", "null"),
        ("user.name.more", None),
        ("user[0]", None),
        ('["a.b"]["c]"]', "1"),
        ('["user"].age', "-1.50e+2"),
        ('[""]', "empty"),
        (r'["q\""]', "2"),
        ("twice", "2"),
        ("big", "12345678901234567890"),
        ("absent", None),
    ],
)
def test_paths(path: str, value: str | None) -> None:
    assert at(TEXT, path) == [value]
    assert at(TEXT, path, "user", "user.tags[0]", path)[::3] == [value, value], "paths do not disturb each other"


@pytest.mark.parametrize("text", ['"a"', "1", "null", " true ", "[[1]]", "{}", "[]"])
def test_what_has_no_members_has_no_values(text: str) -> None:
    assert at(text, "a", "[1]", "[0].b") == [None, None, None]


@pytest.mark.parametrize("path", ["", ".", "a.", "a..b", ".a", "$", "$.a", "a.$b", "a.[0]", "a[", "a[b]", "a[-1]",
                                  "a[1", 'a["b]', 'a["b"', "a[0]b", r'["\x"]', '["\\ud800"]', "[ 0]"])  # fmt: skip
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError):
        PathNode().add(path, 0)


BAD = [
    "", " ", "{", "[", '{"a"', '{"a":', '{"a":1', '{"a":1,}', '{"a" 1}', "{a:1}", "[1,]", "[1 2]", '{"a":1}x',
    "01", "+1", "1.", ".5", "1e", "nul", "NaN", "[Infinity]", "-Infinity", '"a', '"\t"', '"\\x"', '"\\u12"',
    '"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '{"a":"\\ud800x"}', "\x00", "\xef\xbb\xbf{}", "'a'",
    '{"a":[1,{"b":NaN}]}', '{"b":1,"a":tru}',
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("path", ["a", "[0]", "b.c", "a[1].b"])
def test_what_is_no_json_has_no_values(text: str, path: str) -> None:
    with pytest.raises(NotJson):
        at(text, path)


def test_depth_is_bounded() -> None:
    assert at("[" * 32 + "]" * 32, "a") == [None]
    assert at('{"a":"[[[[", "b": [1]}', "b[0]", depth=2) == ["1"]
    for text in ("[" * 33 + "]" * 33, '{"a":' * 33 + "1" + "}" * 33, "[" * 100_000):
        with pytest.raises(NotJson):
            at(text, "a")
    with pytest.raises(NotJson):
        at('{"b": [[1]]}', "b[0]", depth=2)


def test_bytes_that_are_no_characters_stay() -> None:
    assert at('{"a":"\xff\xc3(", "\xfe":"x"}', "a", "\xfe") == ["\xff\xc3(", "x"]


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)  # fmt: skip


@given(documents, st.booleans(), st.sampled_from([None, 1]))
def test_as_python_reads_it(value: Any, ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent).encode().decode("latin-1")
    (found, inner) = at(text, "a", "[0].b", depth=200)
    expected = [value["a"]] if isinstance(value, dict) and "a" in value else []
    assert (found is not None) == bool(expected)
    for each in expected:
        assert found is not None
        if isinstance(each, str):
            assert found == each.encode().decode("latin-1")
        else:
            assert json.loads(found.encode("latin-1")) == each
    place = value[0] if isinstance(value, list) and value else None
    assert (inner is not None) == (isinstance(place, dict) and "b" in place)


@given(st.text(st.sampled_from('{}[]",:\\u0d8ab1 tre'), max_size=40))
def test_garbage_is_judged_as_python_judges_it(text: str) -> None:
    def no(constant: str) -> Any:
        raise ValueError(constant)

    try:
        json.dumps(json.loads(text, parse_constant=no), ensure_ascii=False).encode()
        good = True
    except (ValueError, UnicodeEncodeError):
        good = False
    try:
        at(text, "a.b", "[0][1]", "r")
        assert good
    except NotJson:
        assert not good
