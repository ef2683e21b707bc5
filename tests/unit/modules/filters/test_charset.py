"""charset: what is said, and what is recoded."""

import pytest

from harness.site import Site, mistakes
from penstock.modules.filters.charset_tables import Tables, recoder

CONFIGURATION = """
    charset_map one two { 58 59; 80 81; }
    charset_map one utf-8 { 80 E282AC; C0 D090; }
    server {
        listen 80;
        default_type text/html;
        charset utf-8;
        location /named { return 200 a; }
        location /off { charset off; return 200 a; }
        location /var { charset $arg_c; return 200 a; }
        location /png { default_type image/png; return 200 a; }
        location /every { default_type image/png; charset_types *; return 200 a; }
        location /moved { return 302 /; }
        location /said { default_type "text/html; charset=koi8-r"; return 200 a; }
        location /over { default_type "text/html; charset=one"; override_charset on; charset two; return 200 aX; }
        location /two { charset two; source_charset one; return 200 "aX\x80"; }
        location /utf { source_charset one; return 200 "aX\x80\xff"; }
        location /from { charset one; source_charset utf-8; return 200 "a\xe2\x82\xac\xd0\x96\xff"; }
        location /python { source_charset koi8-r; return 200 "\xc1"; }
        location /back { charset koi8-r; source_charset utf-8; return 200 "\xd0\xb0\xe2\x82\xac"; }
        location /none { charset $arg_c; source_charset one; return 200 a; }
    }
"""


@pytest.fixture
def site(tmp_path):
    return Site(CONFIGURATION, tmp_path)


@pytest.mark.parametrize(
    ("target", "charset"),
    [
        ("/named", "utf-8"),
        ("/off", None),
        ("/var?c=x", "x"),
        ("/var", None),
        ("/png", None),
        ("/every", "utf-8"),
        ("/moved", None),
        ("/said", None),
        ("/over", "two"),
        ("/missing", "utf-8"),
        ("/none?c=three", None),
    ],
)
def test_what_is_said(site, target: str, charset: str | None) -> None:
    assert site.ask(target).answer.charset == charset


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/two", "aY\x81"),
        ("/over", "aY"),
        ("/utf", "aX\xe2\x82\xac?"),
        ("/from", "a\x80&#1046;?"),
        ("/python", "\xd0\xb0"),
        ("/back", "\xc1&#8364;"),
    ],
)
def test_recoded(site, target: str, body: str) -> None:
    assert site.ask(target).text == body


def test_what_can_not_be_recoded_is_logged(site) -> None:
    site.ask("/none?c=three")
    assert site.said() == ['no "charset_map" between the charsets "one" and "three"']


def test_a_byte_for_a_byte_keeps_its_length(site) -> None:
    assert site.ask("/two").answer.length == 3
    assert site.ask("/utf").answer.length is None


@pytest.mark.parametrize("name", ["koi8-r", "windows-1251", "iso-8859-1", "cp866"])
def test_python_agrees_however_the_pieces_fall(name: str) -> None:
    text = "Wörter, слова: \u20ac"
    tables = Tables()
    way = tables.find("utf-8", name)
    assert way is not None
    stage = recoder(way)
    data = text.encode()
    out = b"".join(b"".join(stage.feed(data[at : at + 1])) for at in range(len(data))) + b"".join(stage.finish())
    assert out == text.encode(name, "xmlcharrefreplace")


@pytest.mark.parametrize("names", [("utf-16", "utf-8"), ("big5", "utf-8"), ("rot13", "utf-8"), ("none", "utf-8")])
def test_sets_that_have_no_table(names: tuple[str, str]) -> None:
    assert Tables().find(*names) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("charset_map a A { }", '"charset_map" between the same charsets "a" and "A"'),
        ("charset_map utf-8 b { }", '"charset_map" with "utf-8" charset should be given in the second column'),
        ("charset_map a b { } charset_map b a { }", 'duplicate "charset_map" between "b" and "a"'),
        ("charset_map a b { 100 20; }", 'invalid value "100"'),
        ("charset_map a b { 80 2020; }", 'invalid value "2020"'),
        ("charset_map a utf-8 { 80 FF; }", 'invalid value "FF"'),
        ("charset_map a b { 80; }", "invalid parameters number"),
        ("charset a; source_charset b; server { }", 'no "charset_map" between the charsets "b" and "a"'),
    ],
)
def test_mistakes(tmp_path, text: str, message: str) -> None:
    assert message in mistakes(text, tmp_path)
