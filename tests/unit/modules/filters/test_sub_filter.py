"""sub_filter: leftmost first, whatever the pieces."""

import random
import re

import pytest

from harness.site import Site, mistakes
from penstock.modules.filters.sub_filter import Replacing, Texts

BODY = "Foo bar foo baz"


def server(text: str) -> str:
    many = "" if "sub_filter_once" in text else "sub_filter_once off;"
    return f'server {{ listen 80; default_type text/html; {many} {text} return 200 "{BODY}"; }}'


def asked(tmp_path, text: str, target: str = "/") -> str:
    return Site(server(text), tmp_path).ask(target).text


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("sub_filter foo X;", "X bar X baz"),
        ("sub_filter foo X; sub_filter_once on;", "X bar foo baz"),
        ("sub_filter foo X; sub_filter BA Y; sub_filter_once on;", "X Yr foo baz"),
        ("sub_filter nothing X;", BODY),
        ('sub_filter "foo " "";', "bar baz"),
        ("sub_filter o. X; sub_filter o Y;", "FYY bar fYY baz"),
        ("sub_filter bar X; sub_filter 'bar foo' Y;", "Foo X foo baz"),
        ("sub_filter 'bar foo' Y; sub_filter bar X;", "Foo Y baz"),
        ("sub_filter foo $arg_by; sub_filter $arg_also Z;", "[x] bar [x] Z"),
        ("sub_filter_types text/css; sub_filter foo X;", "X bar X baz"),
    ],
)
def test_replaced(tmp_path, text: str, body: str) -> None:
    assert asked(tmp_path, text, "/?by=[x]&also=baz") == body


def test_other_types_are_left_alone(tmp_path) -> None:
    text = 'server { listen 80; default_type text/css; sub_filter foo X; return 200 "foo"; }'
    assert Site(text, tmp_path).ask("/").text == "foo"


def test_the_date_of_a_file_goes_unless_it_may_stay(tmp_path) -> None:
    (tmp_path / "a.html").write_text("foo")
    text = """
        server { listen 80; sub_filter foo bar;
                 location /kept/ { alias ROOT/; sub_filter_last_modified on; } }
    """
    site = Site(text.replace("ROOT", str(tmp_path)), tmp_path)
    gone, kept = site.ask("/a.html").answer, site.ask("/kept/a.html").answer
    assert (gone.last_modified, gone.etag, gone.length) == (None, None, None)
    assert kept.last_modified is not None and kept.etag.startswith('W/"')


class Word:
    """A replacement without variables."""

    def __init__(self, text: str) -> None:
        self.text = text

    def evaluate(self, request: object) -> str:
        return self.text


def test_pieces_make_no_difference() -> None:
    rng = random.Random(7)
    for _ in range(400):
        texts = ["".join(rng.choices("ab", k=rng.randint(1, 5))).encode() for _ in range(rng.randint(1, 4))]
        texts = list(dict.fromkeys(texts))
        body = "".join(rng.choices("abAB", k=60)).encode()
        by = {text: b"<%d>" % place for place, text in enumerate(texts)}
        expected = b""
        at = 0
        for found in re.finditer(b"|".join(map(re.escape, texts)), body, re.IGNORECASE):
            expected += body[at : found.start()] + by[found[0].lower()]
            at = found.end()
        expected += body[at:]
        words = [Word(by[text].decode()) for text in texts]
        stage = Replacing(None, Texts(texts), words, once=False)
        out = b""
        at = 0
        while at < len(body):
            step = rng.randint(1, 9)
            out += b"".join(stage.feed(body[at : at + step]))
            at += step
        assert out + b"".join(stage.finish()) == expected


def test_only_what_may_begin_a_text_waits() -> None:
    stage = Replacing(None, Texts([b"zab"]), [Word("!")], once=False)
    assert b"".join(stage.feed(b"xyz")) == b"xy"
    assert b"".join(stage.feed(b"abc")) == b"!c"
    assert b"".join(stage.feed(b"za")) == b""
    assert b"".join(stage.finish()) == b"za"


def test_mistakes(tmp_path) -> None:
    assert "empty search pattern" in mistakes('server { listen 80; sub_filter "" a; }', tmp_path)
    assert 'invalid number of arguments in "sub_filter" directive' in mistakes(
        "server { listen 80; sub_filter a; }", tmp_path
    )
