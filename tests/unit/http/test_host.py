"""Hosts: the corpus has the heads, here is the function."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http import host
from penstock.http.host import split_host


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", ("a", 0)),
        ("A.B", ("a.b", 0)),
        ("a.", ("a", 0)),
        ("a.:80", ("a", 80)),
        ("a:", ("a", 0)),
        ("a:00080", ("a", 80)),
        ("a:65535", ("a", 65535)),
        (".a", (".a", 0)),
        ("[::1]", ("[::1]", 0)),
        ("[FE80::1]:8", ("[fe80::1]", 8)),
        ("1.2.3.4:5", ("1.2.3.4", 5)),
    ],
)
def test_hosts(value: str, expected: tuple[str, int]) -> None:
    assert split_host(value) == expected
    assert split_host(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        "a..",
        "a..b",
        ":80",
        "a:65536",
        "a:1x",
        "a:1:2",
        "[",
        "[]x",
        "]",
        "a b",
        "a/",
        "\xe4",
        "[a%b]",
        "a:99999999999999999999",
    ],
)
def test_no_hosts(value: str) -> None:
    assert split_host(value) is None


@given(st.text(st.characters(max_codepoint=255), max_size=20))
def test_anything(value: str) -> None:
    found = split_host(value)
    if found is not None:
        name, port = found
        assert re.fullmatch(r"[a-z0-9.:_~!$&'()*+,;=%\[\]-]+", name)
        assert 0 <= port <= 65535
        assert split_host(name) == (name, 0)


def test_not_remembered_without_end() -> None:
    for number in range(3000):
        split_host(f"{number}.example")
    split_host("a" * 5000)
    assert len(host._known) <= 1024
    assert "a" * 5000 not in host._known
