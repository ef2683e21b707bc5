"""`num_map`: values for numbers and their ranges, as nginx.org says of nginx's paid edition."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site, compiled, mistakes, pages_of

PORTS = """
    num_map $arg_port $allowed {
        default    no;
        <=1023     system;
        80         web;
        443        "web $arg_x";
        8080-8090  other;
        8085       never;
        >60000.5   high;
    }
    num_map $arg_port $nothing { 1 one; }
    num_map $arg_port$arg_more $joined { 12 twelve; -5--1 below; 0.5 half; >=1.25 more; }
    """


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return pages_of(PORTS, tmp_path_factory.mktemp("site"), a="$allowed", b="[$nothing]", c="[$joined]")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/a?port=80", "web"),
        ("/a?port=080", "web"),
        ("/a?port=443&x=y", "web y"),
        ("/a?port=22", "system"),
        ("/a?port=-22", "system"),
        ("/a?port=1023", "system"),
        ("/a?port=1023.5", "no"),
        ("/a?port=1024", "no"),
        ("/a?port=8080", "other"),
        ("/a?port=8085", "never"),
        ("/a?port=8090", "other"),
        ("/a?port=8091", "no"),
        ("/a?port=60000", "no"),
        ("/a?port=60001", "high"),
        ("/a?port=", "no"),
        ("/a", "no"),
        ("/a?port=http", "no"),
        ("/a?port=80x", "no"),
        ("/a?port=80,%2081", "no"),
        ("/a?port=99999999999999999999", "no"),
        ("/b?port=1", "[one]"),
        ("/b?port=1.0", "[one]"),
        ("/b?port=2", "[]"),
        ("/c?port=1&more=2", "[twelve]"),
        ("/c?port=-3", "[below]"),
        ("/c?port=-5.000000001", "[]"),
        ("/c?port=0.500", "[half]"),
        ("/c?port=1.25", "[more]"),
    ],
)
def test_what_is_found(site: Site, target: str, text: str) -> None:
    assert site.ask(target).text == text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("80 a; 80.0 b;", 'conflicting parameter "80.0"'),
        ("90-80 a;", 'invalid range "90-80"'),
        ("80..90 a;", 'invalid number or range "80..90"'),
        ("=80 a;", 'invalid number or range "=80"'),
        ("http a;", 'invalid number or range "http"'),
        ("default a; default b;", "duplicate default num_map parameter"),
        ("80;", "invalid number of the num_map parameters"),
        ("80 a b;", "invalid number of the num_map parameters"),
        ("80 { }", 'unexpected "{"'),
        ("80 $none_such;", 'unknown "none_such" variable'),
    ],
)
def test_mistakes(tmp_path: Path, lines: str, message: str) -> None:
    assert message in mistakes(f"num_map $uri $a {{ {lines} }} server {{ listen 80; }}", tmp_path)


def test_files_with_values(tmp_path: Path) -> None:
    (tmp_path / "ports.conf").write_text("1-5 few; 6 six;")
    site = pages_of(f"num_map $arg_n $v {{ volatile; include {tmp_path}/ports.conf; }}", tmp_path, a="$v")
    assert [site.ask(f"/a?n={n}").text for n in (3, 6, 7)] == ["few", "six", ""]


def test_streams_have_it_too(tmp_path: Path) -> None:
    compiled(
        "events { } stream { num_map $remote_port $to { default 127.0.0.1:1; <1024 127.0.0.1:2; } "
        "server { listen 127.0.0.1:18999; proxy_pass $to; } }",
        tmp_path,
    )
