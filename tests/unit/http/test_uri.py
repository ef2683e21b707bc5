"""Targets and escapes. The expected values of `normalize` were checked against a live nginx."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.http.errors import BadRequest
from penstock.http.uri import (
    arg,
    escape_args,
    escape_component,
    escape_entities,
    escape_uri,
    exten,
    normalize,
    split_target,
    unescape,
    unescape_redirect,
    unescape_uri,
)

LATIN = st.text(st.characters(max_codepoint=255))


@pytest.mark.parametrize(
    ("target", "path", "args"),
    [
        ("/", "/", ""),
        ("/a?b=c", "/a", "b=c"),
        ("/a?", "/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/a#b?c", "/a", ""),
        ("/a?b#c", "/a", "b"),
        ("/a%3Fb", "/a%3Fb", ""),
    ],
)
def test_split_target(target: str, path: str, args: str) -> None:
    assert split_target(target) == (path, args)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("", "/"),
        ("/a/b.html", "/a/b.html"),
        ("//a///b//", "/a/b/"),
        ("/a/./b/.", "/a/b/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/..", "/"),
        ("/...", "/..."),
        ("/a/..b/.c", "/a/..b/.c"),
        ("/%61", "/a"),
        ("/a%2fb", "/a/b"),
        ("/a%2F%2e%2E%2Fb", "/b"),
        ("/%25%32%35", "/%25"),
        ("/%3F%23%2B", "/?#+"),
        ("/a//../b", "/b"),
        ("/%e4%FF", "/\xe4\xff"),
        ("/a+b", "/a+b"),
        ("/a%0db", "/a\rb"),
    ],
)
def test_normalize(path: str, expected: str) -> None:
    assert normalize(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("//a///b//", "//a///b//"), ("/a//../b", "/a/b"), ("/a/.//b", "/a//b"), ("//..", "/"), ("/a/b/../", "/a/")],
)
def test_normalize_with_slashes_kept(path: str, expected: str) -> None:
    assert normalize(path, merge_slashes=False) == expected


@pytest.mark.parametrize(
    "path",
    ["/..", "/../", "/a/../..", "/a/../../b", "//..", "/%2e%2e", "/%", "/%4", "/%zz", "/%4g", "/%00", "/a%", "/%%41"],
)
def test_what_leads_nowhere(path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        normalize(path)
    assert (caught.value.status, caught.value.reason) == (400, "client sent invalid request")


@given(LATIN)
@example("/%2e%2e/")
def test_normalize_anything(text: str) -> None:
    try:
        path = normalize("/" + text)
    except BadRequest:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert all(ord(char) < 256 for char in path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a.html", "html"),
        ("/a.tar.gz", "gz"),
        ("/a.b/c", ""),
        ("/.hidden", ""),
        ("/a.", ""),
        ("/", ""),
        ("/.a.b", "b"),
    ],
)
def test_exten(path: str, expected: str) -> None:
    assert exten(path) == expected


@pytest.mark.parametrize(
    ("args", "name", "expected"),
    [
        ("a=1&b=2", "a", "1"),
        ("a=1&b=2", "b", "2"),
        ("a=1&a=2", "a", "1"),
        ("A=1", "a", "1"),
        ("ba=1&a=2", "a", "2"),
        ("a&a=2", "a", "2"),
        ("a=", "a", ""),
        ("a", "a", None),
        ("", "a", None),
        ("b=a=1", "a", None),
        ("a=%41+b", "a", "%41+b"),
        ("a=b=c&d", "a", "b=c"),
    ],
)
def test_arg(args: str, name: str, expected: str | None) -> None:
    assert arg(args, name) == expected


EVERY = "".join(map(chr, range(256)))


def test_escapes_are_the_tables_of_nginx() -> None:
    never = '"<>\\^`{|}'
    expected = {
        escape_uri: never + " #%?",
        escape_args: never + " #%&+;?",
    }
    for escape, special in expected.items():
        for char in EVERY:
            plain = 0x20 <= ord(char) < 0x7F and char not in special
            assert escape(char) == (char if plain else f"%{ord(char):02X}"), (escape, char)
    assert escape_component(EVERY) == quote(EVERY, safe="", encoding="latin-1")


def test_escape_entities() -> None:
    assert escape_entities('<a href="?x&y">\'') == "&lt;a href=&quot;?x&amp;y&quot;&gt;'"


@given(LATIN)
def test_unescape_undoes_escape(text: str) -> None:
    assert unescape(escape_component(text)) == text
    assert unescape(escape_uri(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a%20b", "a b"),
        ("%41%4g%42", "AB"),
        ("%zz", "zz"),
        ("%", ""),
        ("%4", ""),
        ("%%41", "%41"),
        ("%3f?%3F", "???"),
        ("+", "+"),
    ],
)
def test_unescape(text: str, expected: str) -> None:
    assert unescape(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/%41?%41", "/A?%41"), ("/%3f%41", "/?%41"), ("/%41", "/A"), ("?%41", "?%41"), ("%zz%41?%", "zzA?%")],
)
def test_unescape_uri(text: str, expected: str) -> None:
    assert unescape_uri(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/%41%20%25%e4?%41", "/A%20%25%e4?%41"), ("/%3f%41", "/?%41"), ("/%26%7e%7f", "/&~%7f"), ("%0d%0a", "%0d%0a")],
)
def test_unescape_redirect(text: str, expected: str) -> None:
    assert unescape_redirect(text) == expected
