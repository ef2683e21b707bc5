"""A match in Python's own engine ends: a timer of the processor's time raises in the middle of it."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from penstock.config.regex import regex
from penstock.config.regex.pcre import MatchFailed, compile_pcre
from penstock.config.regex.pcre2 import VARIABLE
from penstock.config.regex.regex import TakesTooLong
from penstock.net.match_time import LONGEST, SHARE, SHORTEST, within


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, "python")
    monkeypatch.setattr(regex, "_bound", within)
    yield
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0, "no timer is left behind"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^/(.*)/(.*)/(.*)\.html$", "/" * 8000),
        (r"^/(.*)/(.*)/(.*)\.html$", "/" * 60000),
        (r"(a+)+$", "a" * 40 + "b"),
        (r"^(\w+\s?)*$", "a" * 5000 + "!"),
        (r"a[^x]*a[^x]*[bc]", "a" * 8000),
        (r"a*[^x]*[^z]*[bc]", "a" * 2000),
        (r"^(.*)(.*)[^/]*x/", "a" * 8000),
        (r"^(.*)(.*)\1\2x", "a" * 8000),
        (r"(?:a|aa|b)*(?:a|b)*c", "a" * 5000),
    ],
)
def test_it_ends(pattern: str, text: str) -> None:
    compiled = compile_pcre(pattern)
    began = time.process_time()
    with pytest.raises(MatchFailed, match=r"pcre2_match\(\) failed: -47 on"):
        compiled.match(text)
    assert time.process_time() - began < LONGEST * 5


def test_what_is_quick_enough_is_not_touched() -> None:
    compiled = compile_pcre(r"^/(.*)/(.*)/(.*)\.html$")
    for _ in range(3):
        match = compiled.match("/" + "/".join(["x" * 300] * 8) + ".html")
        assert match is not None
        assert match[3] == "x" * 300
    unanchored = compile_pcre(r"b[^x]*a[^x]*c")
    match = unanchored.match("-" * 3000 + "ba" + "d" * 500 + "c")
    assert match is not None
    assert match.span() == (3000, 3503)
    assert unanchored.match("-" * 3000) is None


def test_it_can_be_done_again() -> None:
    compiled = compile_pcre(r"(a+)+$")
    for _ in range(2):
        with pytest.raises(MatchFailed):
            compiled.match("a" * 40 + "b")
    assert compiled.match("aaa")


def test_a_late_signal_hits_nobody() -> None:
    compile_pcre(r"^(a*)(a*)(a*)b").match("a" * 200)
    signal.raise_signal(signal.SIGVTALRM)


def test_other_threads_match_too() -> None:
    found: list[object] = []
    compiled = compile_pcre(r"^(a*)(a*)(a*)b")
    thread = threading.Thread(target=lambda: found.append(compiled.match("a" * 200 + "b")))
    thread.start()
    thread.join(20)
    assert found and found[0] is not None


@pytest.fixture(autouse=True)
def nobody_has_repeated_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.net.match_time._left", 2 * LONGEST)


def test_who_repeats_one_gets_shorter_ones() -> None:
    endless = re.compile(r"^(a+)+$")
    text = "a" * 60 + "!"
    began, computed = time.monotonic(), time.process_time()
    for _ in range(40):
        with pytest.raises(TakesTooLong):
            within(endless.search, text)
    allowed = 2 * LONGEST + SHARE * (time.monotonic() - began) + 40 * SHORTEST
    assert time.process_time() - computed < 1.5 * allowed
