"""autoindex: what is listed, and how it is written."""

import json
import os
from xml.etree import ElementTree

import pytest

from harness.site import Site, mistakes

CONFIGURATION = """
    server {
        listen 80;
        autoindex on;
        location /list/ { }
        location /rough/ { autoindex_exact_size off; alias ROOT/list/; }
        location /utf8/ { charset utf-8; alias ROOT/list/; }
        location /json/ { autoindex_format json; alias ROOT/list/; }
        location /jsonp/ { autoindex_format jsonp; alias ROOT/list/; }
        location /xml/ { autoindex_format xml; alias ROOT/list/; }
        location /off/ { autoindex off; alias ROOT/list/; }
    }
"""
NAMES = ("a&b", 'quo"te', "back\\slash", ".hidden", "\u0444" * 30, "\u0444" * 60, "x" * 50, "y" * 51)


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "list"
    folder.mkdir()
    (folder / "zdir").mkdir()
    (folder / "nowhere").symlink_to("missing")
    os.mkfifo(folder / "pipe")
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(b"x" * (number * 4000))
        os.utime(folder / name, (0, 0))
    return Site(CONFIGURATION.replace("ROOT", str(tmp_path)), tmp_path)


def lines(site, target: str) -> list[str]:
    return site.ask(target).text.split("\r\n")


def test_a_page(site) -> None:
    reply = site.ask("/list/")
    assert (reply.status, reply.type, reply.answer.length) == (200, "text/html", None)
    page = lines(site, "/list/")
    assert page[1] == "<head><title>Index of /list/</title></head>"
    assert page[4].startswith('<a href="zdir/">zdir/</a>' + " " * 45), "directories come first"
    assert page[4].endswith(" " * 18 + "-")
    assert f'<a href="a%26b">a&amp;b</a>{" " * 47} 01-Jan-1970 00:00 {0:19d}' in page
    assert f'<a href="{"x" * 50}">{"x" * 50}</a> 01-Jan-1970 00:00 {24000:19d}' in page
    assert f'<a href="{"y" * 51}">{"y" * 47}..&gt;</a> 01-Jan-1970 00:00 {28000:19d}' in page
    assert not any(".hidden" in line for line in page)


def test_rough_sizes(site) -> None:
    page = "\n".join(lines(site, "/rough/"))
    assert "     23K\n" in page and f" {4000:7d}\n" in page


def test_columns_are_characters_where_the_page_is_utf8(site) -> None:
    name = ("\u0444" * 30).encode().decode("latin-1")
    assert f">{name}</a>{' ' * 20} " in site.ask("/utf8/").text
    assert f">{name[:47]}..&gt;</a> " in site.ask("/list/").text
    cut = ("\u0444" * 47).encode().decode("latin-1")
    assert f">{cut}..&gt;</a> " in site.ask("/utf8/").text


def test_json(site) -> None:
    reply = site.ask("/json/")
    found = json.loads(reply.text.encode("latin-1"))
    assert reply.type == "application/json"
    kinds = {each["name"]: each["type"] for each in found}
    assert kinds["zdir"] == "directory" and kinds["pipe"] == kinds["nowhere"] == "other"
    assert [each["size"] for each in found if each["name"] == 'quo"te'] == [4000]
    assert kinds["back\\slash"] == "file"


def test_jsonp(site) -> None:
    text = site.ask("/jsonp/?callback=a.b").text
    assert text.startswith("/* callback */\r\na.b([\r\n{") and text.endswith("]);")
    assert site.ask("/jsonp/").type == "application/json"
    assert site.ask("/jsonp/?callback=a%28").status == 400
    assert site.ask(f"/jsonp/?callback={'a' * 129}").status == 400


def test_xml(site) -> None:
    reply = site.ask("/xml/")
    assert (reply.type, reply.answer.charset) == ("text/xml", "utf-8")
    tree = ElementTree.fromstring(reply.text.encode("latin-1"))
    sizes = {each.text: each.get("size") for each in tree}
    assert sizes["a&b"] == "0" and sizes["zdir"] is None


def test_refusals(site) -> None:
    assert site.ask("/off/").status == 403
    assert site.ask("/list/none/").status == 404


def test_mistakes(tmp_path) -> None:
    message = 'invalid value "pdf" in "autoindex_format" directive'
    assert message in mistakes("server { listen 80; autoindex_format pdf; }", tmp_path)
