"""A directive that stands again at its level: what both lines come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site, compiled, mistakes
from penstock.modules.access.userid import UserId
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.main import Main
from penstock.modules.filters.addition import Addition
from penstock.modules.filters.charset import Charset
from penstock.modules.filters.gzip import Gzip
from penstock.modules.filters.gzip_accepted import GzipAccepted
from penstock.modules.filters.ssi.ssi import Ssi
from penstock.modules.filters.sub_filter import SubFilter
from penstock.modules.gateways.scgi import Scgi
from penstock.modules.gateways.uwsgi import Uwsgi
from penstock.modules.proxy.early_hints import EarlyHints
from penstock.modules.proxy.proxy import Proxy
from penstock.modules.proxy.tunnel import ConnectTunnels
from penstock.modules.tls.sessions import Cache, TlsSessions
from penstock.modules.tls.ssl import Tls
from penstock.plan.location import Location

TYPES = frozenset({"text/html", "text/css", "a/b", "c/d"})


def root(lines: str, folder: Path) -> Location:
    """The server that has these lines."""
    return compiled(f"events {{ }} http {{ server {{ listen 127.0.0.1:80; {lines} }} }}", folder).servers[0].root


@pytest.mark.parametrize(
    ("name", "settings", "attribute"),
    [
        ("gzip_types", Gzip, "types"),
        ("charset_types", Charset, "types"),
        ("sub_filter_types", SubFilter, "types"),
        ("addition_types", Addition, "types"),
        ("ssi_types", Ssi, "types"),
    ],
)
def test_types_add_up(tmp_path: Path, name: str, settings: type, attribute: str) -> None:
    got = getattr(root(f"{name} text/css; {name} a/b c/d;", tmp_path)[settings], attribute)
    assert got == TYPES
    assert getattr(root(f"{name} text/css; {name} *;", tmp_path)[settings], attribute) == {"*"}
    assert getattr(root(f"{name} *; {name} text/css;", tmp_path)[settings], attribute) == {"*"}


HTML = 'duplicate MIME type "text/html"'
CSS = 'duplicate MIME type "text/css"'
AGAIN = 'duplicate extension "{}", content type: "{}", previous content type: "{}"'.format


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gzip_types text/css; gzip_types text/css;", [CSS]),
        ("gzip_types text/css a/b; gzip_types c/d TEXT/CSS text/html;", [CSS, HTML]),
        ("gzip_types text/css; gzip_types * text/css; gzip_types text/css;", []),
        ("gzip_types text/css; sub_filter_types text/css; server { listen 127.0.0.1:80; gzip_types text/css; }", []),
        ("charset_types text/css; charset_types text/css; ssi_types text/html;", [CSS, HTML]),
        ("types { text/html html; text/plain html; }", [AGAIN("html", "text/plain", "text/html")]),
        ("types { text/html html; text/html html; }", [AGAIN("html", "text/html", "text/html")]),
        ("types { text/html htm HTM; }", [AGAIN("htm", "text/html", "text/html")]),
        ("types { text/html html; } types { a/b x; text/plain HTML; }", [AGAIN("html", "text/plain", "text/html")]),
        ("types { text/html html; } server { listen 127.0.0.1:80; types { text/plain html; } }", []),
    ],
)
def test_what_is_listed_twice_is_a_warning(tmp_path: Path, text: str, said: list[str]) -> None:
    """In nginx's words, of which these were checked against nginx 1.22.1."""
    assert mistakes(text, tmp_path) == said


def test_a_level_s_own_types_replace_those_around_it(tmp_path: Path) -> None:
    text = "gzip_types a/b; gzip_types c/d; server { listen 127.0.0.1:80; gzip_types text/css; }"
    plan = compiled(f"events {{ }} http {{ {text} }}", tmp_path)
    assert plan.servers[0].root[Gzip].types == {"text/html", "text/css"}


def test_both_types_are_compressed(tmp_path: Path) -> None:
    site = Site(
        "gzip on; gzip_min_length 0; gzip_types text/css; gzip_types application/json; server { listen 80; "
        "location /css { default_type text/css; return 200 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; } "
        "location /json { default_type application/json; return 200 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; } "
        "location /text { default_type text/plain; return 200 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; } }",
        tmp_path,
    )

    def coded(path: str) -> bool:
        answer = site.ask(path, headers=["Accept-Encoding: gzip"]).answer
        return ("Content-Encoding", "gzip") in answer.headers

    assert [coded(path) for path in ("/css", "/json", "/text")] == [True, True, False]


@pytest.mark.parametrize(
    ("lines", "settings", "attribute", "wanted"),
    [
        ("gzip_proxied auth; gzip_proxied expired no-cache;", GzipAccepted, "proxied", {"auth", "expired", "no-cache"}),
        ("ssl_protocols TLSv1.2; ssl_protocols TLSv1.3;", Tls, "protocols", {"TLSv1.2", "TLSv1.3"}),
        ("keepalive_disable safari; keepalive_disable msie6;", HttpCore, "keepalive_disable", {"safari", "msie6"}),
        ("userid_flags secure; userid_flags httponly;", UserId, "flags", {"secure", "httponly"}),
        ("proxy_next_upstream error; proxy_next_upstream http_502;", Proxy, "next_upstream", {"error", "http_502"}),
        ("uwsgi_next_upstream error; uwsgi_next_upstream http_503;", Uwsgi, "next_upstream", {"error", "http_503"}),
        ("scgi_next_upstream error; scgi_next_upstream timeout;", Scgi, "next_upstream", {"error", "timeout"}),
        (
            "tunnel_next_upstream error; tunnel_next_upstream timeout;",
            ConnectTunnels,
            "next_upstream",
            {"error", "timeout"},
        ),
        ("proxy_ignore_headers Vary; proxy_ignore_headers Expires;", Proxy, "ignored_headers", {"Vary", "Expires"}),
        ("proxy_ssl_protocols TLSv1.2; proxy_ssl_protocols TLSv1.3;", Proxy, "ssl_protocols", {"TLSv1.2", "TLSv1.3"}),
    ],
)
def test_words_add_up(tmp_path: Path, lines: str, settings: type, attribute: str, wanted: set[str]) -> None:
    assert getattr(root(lines, tmp_path)[settings], attribute) == wanted


def test_lists_keep_their_order(tmp_path: Path) -> None:
    made = root("early_hints $arg_a; early_hints $arg_b $arg_c;", tmp_path)[EarlyHints].conditions
    assert [each.text for each in made] == ["$arg_a", "$arg_b", "$arg_c"]
    assert len(root("gzip_disable msie6; gzip_disable foo bar;", tmp_path)[GzipAccepted].disable) == 3


@pytest.mark.parametrize(
    ("lines", "kind", "zone"),
    [
        ("ssl_session_cache off; ssl_session_cache none;", "none", ""),
        ("ssl_session_cache none; ssl_session_cache off;", "off", ""),
        ("ssl_session_cache shared:a:1m; ssl_session_cache shared:b:1m;", "kept", "b"),
        ("ssl_session_cache builtin:9; ssl_session_cache shared:b:1m;", "kept", "b"),
        ("ssl_session_cache shared:b:1m; ssl_session_cache builtin:9;", "kept", "b"),
        ("ssl_session_cache shared:b:1m; ssl_session_cache off;", "off", "b"),
        ("ssl_session_cache off; ssl_session_cache shared:b:1m;", "off", "b"),
        ("ssl_session_cache off shared:b:1m;", "off", "b"),
    ],
)
def test_caches_of_sessions(tmp_path: Path, lines: str, kind: str, zone: str) -> None:
    cache: Cache = root(lines, tmp_path)[TlsSessions].cache
    assert (cache.kind, cache.zone) == (kind, zone)


def test_priorities(tmp_path: Path) -> None:
    """nginx takes a second one only where the first asks for nothing."""
    plan = compiled("worker_priority 0; worker_priority -5; events { } http { }", tmp_path)
    assert plan.main.settings(Main).priority == -5


@pytest.mark.parametrize(
    "line",
    ["gzip on;", "proxy_cache_key a;", "brotli on;", "tcp_nopush on;", "aio on;", "proxy_cache off;", "charset utf-8;"],
)
def test_the_rest_is_duplicate(tmp_path: Path, line: str) -> None:
    found = mistakes(f"server {{ listen 127.0.0.1:80; {line} {line} }}", tmp_path)
    assert f'"{line.split()[0]}" directive is duplicate' in found


def test_two_levels_are_not_one(tmp_path: Path) -> None:
    lines = "tcp_nopush on; proxy_cache off;"
    text = f"{lines} server {{ listen 127.0.0.1:80; {lines} location / {{ {lines} }} location /a {{ {lines} }} }}"
    assert mistakes(text, tmp_path) == []
