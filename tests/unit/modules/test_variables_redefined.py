"""Variables that sound free and are nginx's own: a configuration may give some of them other values."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site, mistakes

ROWS = (Path(__file__).parents[2] / "corpus" / "variables.txt").read_text("ascii").splitlines()
KINDS = dict(row.split() for row in ROWS if not row.startswith("#"))
CHANGEABLE = sorted(name for name, kind in KINDS.items() if kind == "changeable" and name not in ("args", "limit_rate"))
FIXED = sorted(
    name
    for name, kind in KINDS.items()
    if kind == "fixed" and not name.startswith("proxy_protocol_tlv_") and name[-1] != "_"
)
WAYS = {
    "map": "map $uri ${} {{ default other; }}",
    "geo": "geo ${} {{ default other; }}",
    "split_clients": "split_clients $uri ${} {{ * other; }}",
}


@pytest.mark.parametrize("name", CHANGEABLE)
def test_set_gives_it_another_value(tmp_path: Path, name: str) -> None:
    site = Site(
        f"server {{ listen 80; location /set {{ set ${name} other; return 200 [${name}]; }}"
        f" location ~ ^/(?<{name}>cap)ture {{ return 200 [${name}]; }} location / {{ return 200 [${name}]; }} }}",
        tmp_path,
    )
    assert site.ask("/set").text == "[other]"
    assert site.ask("/capture").text == "[cap]"
    assert site.ask("/").text in ("[]", "[1]")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CHANGEABLE)
def test_so_do_the_tables(tmp_path: Path, name: str, way: str) -> None:
    text = (
        f"{WAYS[way].format(name)} server {{ listen 80; location / {{ return 200 [${name}]; }} "
        f"location /set {{ set ${name} own; return 200 [${name}]; }} }}"
    )
    site = Site(text, tmp_path)
    assert site.ask("/").text == "[other]"
    assert site.ask("/set").text == "[own]"


@pytest.mark.parametrize("way", WAYS)
def test_a_table_may_stand_below_what_sets_it(tmp_path: Path, way: str) -> None:
    text = (
        "server { listen 80; location / { return 200 [$proxy_host]; } "
        "location /set { set $proxy_host own; return 200 [$proxy_host]; } }" + WAYS[way].format("proxy_host")
    )
    site = Site(text, tmp_path)
    assert (site.ask("/").text, site.ask("/set").text) == ("[other]", "[own]")


@pytest.mark.parametrize("name", FIXED)
def test_the_others_are_taken(tmp_path: Path, name: str) -> None:
    message = f'the duplicate "{name}" variable'
    assert message in mistakes(f"server {{ listen 80; location / {{ set ${name} x; }} }}", tmp_path)
    assert message in mistakes(f"{WAYS['map'].format(name)} server {{ listen 80; }}", tmp_path)


def test_auth_request_may_set_them(tmp_path: Path) -> None:
    line = "auth_request_set $proxy_host $upstream_http_x; auth_request_set $ssl_client_s_dn $upstream_http_y;"
    assert not mistakes(f"server {{ listen 80; location / {{ {line} }} }}", tmp_path)


def test_args_and_limit_rate_have_setters_of_their_own(tmp_path: Path) -> None:
    site = Site(
        "map $uri $limit_rate { default 7k; } server { listen 80; location / { return 200 $limit_rate; } "
        "location /set { set $args a=1; return 200 $arg_a; } }",
        tmp_path,
    )
    assert site.ask("/").text == "7k"
    assert site.ask("/set?b=2").text == "1"


@pytest.mark.parametrize("way", WAYS)
def test_capitals_make_no_other_name(tmp_path: Path, way: str) -> None:
    site = Site(f"{WAYS[way].format('MixedCase')} server {{ listen 80; return 200 $mixedcase$MixedCase; }}", tmp_path)
    assert site.ask("/").text == "otherother"


@pytest.mark.parametrize(
    ("path", "split", "expected"),
    [
        ("/a.php/info/x", r"^(.+\.php)(.*)$", "[/a.php][/info/x]"),
        ("/a.php", r"^(.+\.php)(.*)$", "[/a.php][]"),
        ("/dir/", r"^(.+\.php)(.*)$", "[/dir/i.php][]"),
        ("/dir/x", r"^(.+\.php)(/.*)$", "[/dir/x][]"),
        ("/a%20b.php/c%2Fd", r"^(.+\.php)(.*)$", "[/a b.php][/c/d]"),
        ("/x/rest", r"^(/x/)(.*)$", "[/x/i.php][rest]"),
    ],
)
def test_the_script_and_the_path_behind_it(tmp_path: Path, path: str, split: str, expected: str) -> None:
    site = Site(
        f"server {{ listen 80; fastcgi_index i.php; fastcgi_split_path_info {split}; "
        "location / { return 200 [$fastcgi_script_name][$fastcgi_path_info]; } }",
        tmp_path,
    )
    assert site.ask(path).text == expected


def test_without_a_pattern_all_of_it_is_the_script(tmp_path: Path) -> None:
    text = "server { listen 80; location / { return 200 [$fastcgi_script_name][$fastcgi_path_info]; } }"
    assert Site(text, tmp_path).ask("/a.php/b/").text == "[/a.php/b/][]"


@pytest.mark.parametrize("pattern", ["^(.+)$", "^.+$", "^(a)(b)(c)$"])
def test_the_pattern_has_two_captures(tmp_path: Path, pattern: str) -> None:
    found = mistakes(f"server {{ listen 80; fastcgi_split_path_info {pattern}; }}", tmp_path)
    assert found == [f'pattern "{pattern}" must have 2 captures']


def test_debian_s_snippet_for_php(tmp_path: Path) -> None:
    """`try_files` reads the script's name; the path is kept by `set` beforehand."""
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "a.php").write_text("<?php secret")
    site = Site(
        f"server {{ listen 80; root {tmp_path}/html; "
        r"location ~ ^(.+\.php)(.*)$ { fastcgi_split_path_info ^(.+\.php)(/.+)$; "
        "set $path_info $fastcgi_path_info; try_files $fastcgi_script_name =404; fastcgi_param PATH_INFO $path_info; "
        "fastcgi_pass 127.0.0.1:9000; } }",
        tmp_path,
    )
    assert site.ask("/b.php/x").status == 404


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT)", "[1][][1]"),
        ("Mozilla/5.0 (Windows; Trident/7.0; rv:11.0) like Gecko", "[][][1]"),
        ("MSIE 6.", "[][][1]"),
        ("MSIE 6.0", "[1][][1]"),
        ("", "[][][1]"),
    ],
)
def test_browsers(tmp_path: Path, agent: str, expected: str) -> None:
    site = Site("server { listen 80; return 200 [$msie][$modern_browser][$ancient_browser]; }", tmp_path)
    assert site.ask("/", headers=[f"User-Agent: {agent}"]).text == expected


@pytest.mark.parametrize(
    "name",
    [
        "http3",
        "slice_range",
        "upstream_cache_status",
        "upstream_cache_etag",
        "memcached_key",
        "brotli_ratio",
        "uid_reset",
    ],
)
def test_what_has_no_value_is_empty(tmp_path: Path, name: str) -> None:
    assert Site(f"server {{ listen 80; return 200 [${name}]; }}", tmp_path).ask("/").text == "[]"


def test_who_reads_a_variable_that_never_has_a_value_is_told_once(tmp_path: Path) -> None:
    found = mistakes(
        "log_format a $geoip_city; server { listen 80; location / { return 200 $geoip_country_code$jwt_claim_sub; } "
        "location /b { return 200 $geoip_city$http3; } }",
        tmp_path,
    )
    assert [each.partition(" is always empty: ")[0] for each in found] in (
        ['"$geoip_country_code"', '"$jwt_claim_sub"'],
        ['"$geoip_city"', '"$jwt_claim_sub"'],
        ['"$jwt_claim_sub"', '"$geoip_city"'],
    )


def test_the_time_with_milliseconds(tmp_path: Path) -> None:
    import re

    text = Site("server { listen 80; return 200 $time_iso8601_ms; }", tmp_path).ask("/").text
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", text)
