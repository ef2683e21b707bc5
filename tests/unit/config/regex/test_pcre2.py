"""What the PCRE2 library makes possible: its own constructs, and a limit for what has none."""

from __future__ import annotations

import gc

import pytest

from oracles import pcre2 as oracle
from penstock.config.regex import pcre2
from penstock.config.regex.pcre import MatchFailed, PcreError, compile_pcre

pytestmark = pytest.mark.skipif(oracle.LIBRARY is None, reason="no PCRE2 library")


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"^(\((?:[^()]|(?1))*\))$", ["(a(b)c)"], ["(a(b)c"]),
        (r"^(?|a(b)|c(d))\1$", ["abb", "cdd"], ["abd"]),
        (r"^(a)?(?(1)b|c)$", ["ab", "c"], ["ac"]),
        (r"foo\Kbar", ["foobar"], ["bar"]),
        (r"(*UTF8)^.$", ["\xc3\xa9"], ["\xc3\xa9a"]),
        (r"(*UTF)(*UCP)^\w$", ["\xc3\xa9"], ["-"]),
        (r"(*UTF8)^\p{Greek}+$", ["\xce\xb1\xce\xb2"], ["ab"]),
        (r"a\1(b)|x", ["x"], ["ab"]),
        (r"(*ANYCRLF)(?m)^b", ["a\rb"], ["ab"]),
        (r"a(*SKIP)(*F)|.", ["ab"], ["aa"]),
        (r"\Ga", ["ab"], ["ba"]),
    ],
)
def test_what_python_can_not_express(pattern: str, matching: list[str], other: list[str]) -> None:
    regex = compile_pcre(pattern)
    assert [text for text in matching + other if regex.match(text)] == matching


def test_one_name_for_several_groups() -> None:
    regex = compile_pcre(r"(?J)^(?:(?<n>a)|(?<n>b))$")
    assert regex.names == {"n": 1}
    for text in "ab":
        match = regex.match(text)
        assert match is not None
        assert (match["n"], match.group("n"), match.groupdict()) == (text, text, {"n": text})


def test_a_match_stays_as_it_was_found() -> None:
    regex = compile_pcre(r"(?|(a)|(b))")
    first, second = regex.match("xa"), regex.match("b")
    assert first is not None and second is not None
    assert (first[1], first.span(1), second[1]) == ("a", (1, 2), "b")
    with pytest.raises(IndexError):
        first.group(2)


def test_refused_in_the_words_of_the_library() -> None:
    with pytest.raises(PcreError) as caught:
        compile_pcre("(?(3)a|b)(?J)")
    assert "non-existent" in caught.value.reason


def test_invalid_utf_is_no_match_but_an_error() -> None:
    regex = compile_pcre("(*UTF8)a")
    with pytest.raises(MatchFailed, match=r"pcre2_match\(\) failed: -\d+ on"):
        regex.match("\xff")


@pytest.mark.parametrize(
    "pattern",
    [
        r"^/(.*)/(.*)/(.*)\.html$",  # a cube
        r"(?|^/(.*)/(.*)/(.*)\.html$|(x))",
        r"(/+)+$",  # doubles with each character
        r"(?J)(?<a>/+)+$(?<a>)",
        r"/[^x]*/[^x]*[bc]",  # a square from each beginning
        r"(?|/[^x]*/[^x]*[bc]|(z))",
        r"^(.*)(.*)[^/]*x/",  # runs through the text at each step
        r"(?|^(.*)(.*)\1\2x|(z))",
        r"(*UTF8)(/+)+$",
        r"(*SKIP)?(?:)(/+)+$(*F)",
    ],
)
def test_it_ends(pattern: str) -> None:
    """Whatever the library would do with its own limit, which is one for each beginning: minutes, for some."""
    try:
        regex = compile_pcre(pattern)
    except PcreError:
        pytest.skip("this library does not take it")
    with pytest.raises(MatchFailed) as caught:
        regex.match("/" * 8000 + "!")
    assert caught.value.code == -47
    assert str(caught.value).startswith('pcre2_match() failed: -47 on "////')
    assert f'using "{pattern}"' in str(caught.value)
    assert len(str(caught.value)) < 400, "a long text is not logged whole"


@pytest.mark.parametrize("pattern", [r"^/(.*)/(.*)/(.*)\.html$", r"(?|/(.*)/(.*)/(.*)\.html$|(x))"])
def test_long_texts_that_match_do(pattern: str) -> None:
    regex = compile_pcre(pattern)
    match = regex.match("/" + "/".join(["x" * 900] * 8) + ".html")
    assert match is not None
    assert match[2] == "x" * 900


def test_machine_code_matches_the_same() -> None:
    regex = compile_pcre(r"(?|^/a(\d+)|^/b(\d+))")
    assert regex.further is not None
    assert regex.further() in (0, -45, -48), "made, unknown here, or no memory that may be executed"
    match = regex.match("/b12")
    assert match is not None
    assert match[1] == "12"
    bad = compile_pcre(r"(?|(/+)+$|(x))")
    assert bad.further is not None
    bad.further()
    with pytest.raises(MatchFailed):
        bad.match("/" * 8000 + "!")


def test_patterns_share_where_they_match() -> None:
    one, two = compile_pcre(r"(?|(a)(b)(c)?|(x))"), compile_pcre(r"(?|(d)|(e))(f)?(g)?")
    first, second = one.match("abc"), two.match("e")
    assert first is not None and second is not None
    assert first.groups() == ("a", "b", "c")
    assert second.groups() == ("e", None, None), "nothing is left of the match before"
    third = one.match("x")
    assert third is not None
    assert third.groups() == ("x", None, None)


def test_patterns_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[int] = []
    real = pcre2.Library.free
    monkeypatch.setattr(pcre2.Library, "free", lambda self, code: (freed.append(code), real(self, code)))
    gc.disable()
    try:
        regex = compile_pcre(r"(?|a|b)")
        match = regex.match("a")
        del regex
        assert not freed, "a match may be asked for its groups later"
        del match
        assert len(freed) == 1
    finally:
        gc.enable()


def test_which_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pcre2.VARIABLE, raising=False)
    assert pcre2.describe().startswith("python, and pcre2 10.")
    monkeypatch.setenv(pcre2.VARIABLE, "python")
    assert pcre2.describe() == "python, with a time limit"
    assert compile_pcre("a").python
    monkeypatch.setenv(pcre2.VARIABLE, "pcre2")
    assert pcre2.describe().startswith("pcre2 10.")
    assert not compile_pcre("a").python
    monkeypatch.setenv(pcre2.VARIABLE, "perl")
    assert pcre2.describe() == 'none: PENSTOCK_REGEX is "perl"; it may be "pcre2" or "python"'
    with pytest.raises(PcreError, match='it may be "pcre2" or "python"'):
        compile_pcre("a")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcre2, "_load", lambda: None)
    monkeypatch.delenv(pcre2.VARIABLE, raising=False)
    assert compile_pcre("^a+b$").match("aab")
    with pytest.raises(PcreError, match="install the PCRE2 library"):
        compile_pcre(r"(?|a|b)")
    monkeypatch.setenv(pcre2.VARIABLE, "pcre2")
    with pytest.raises(PcreError, match=r"there is no libpcre2-8.so.0: install"):
        compile_pcre("a")
