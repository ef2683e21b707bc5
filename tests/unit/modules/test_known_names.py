"""What nginx and its kin know and Penstock does not do: accepted without effect, told, or refused with advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site, compiled, mistakes
from penstock.config.errors import ConfigFailed, Problems
from penstock.config.registry import REGISTRY
from penstock.modules.websocket.websocket import WebSocket

SERVER = "server {{ listen 127.0.0.1:80; location / {{ {} }} }}"


def problems(text: str, folder: Path) -> Problems:
    """Of a whole configuration."""
    try:
        return compiled(text, folder).problems
    except ConfigFailed as failed:
        return failed.problems


@pytest.mark.parametrize(
    "line",
    [
        *(f"{prefix}_store off;" for prefix in ("proxy", "uwsgi", "scgi", "fastcgi")),
        "dav_methods off;",
        "slice 0;",
        "image_filter off;",
        "random_index off;",
        "auth_jwt off;",
        "auth_oidc off;",
        "modsecurity off;",
        "auth_ldap off;",
        "pagespeed off;",
        "pagespeed unplugged;",
        "passenger_enabled off;",
        "vhost_traffic_status off;",
        "otel_trace off;",
        "opentracing off;",
        "proxy_request_dynamic off;",
        "proxy_bind_dynamic off;",
        "lua_code_cache off;",
        'proxy_store "off";',
        "modsecurity OFF;",
    ],
)
def test_off_asks_for_nothing(tmp_path: Path, line: str) -> None:
    assert mistakes(SERVER.format(line), tmp_path) == []


@pytest.mark.parametrize(
    "line", ["mp4;", "modsecurity on;", "auth_jwt off off;"]
)
def test_the_thing_itself_is_refused(tmp_path: Path, line: str) -> None:
    (found,) = mistakes(SERVER.format(line), tmp_path)
    assert found.startswith(f'"{line.split()[0].rstrip(";")}" directive is not supported')


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("vhost_traffic_status_display;", "metrics"),
        ("set_escape_uri $a $uri;", "map"),
        ("set_unescape_uri $a $uri;", "map"),
        ("set_md5 $a $uri;", "map"),
        ("echo hi;", "return 200"),
        ("echo_sleep 1;", "return 200"),
        ("nchan_subscriber;", "pub/sub"),
        ("push_stream_subscriber;", "pub/sub"),
        ("auth_ldap realm;", "auth_request"),
        ("auth_ldap_servers x;", "auth_request"),
        ("passenger_enabled on;", "proxy_pass"),
        ("pagespeed on;", "gzip"),
        ("opentracing_propagate_context;", "traceparent"),
        ("auth_oidc x;", "auth_request"),
        ("js_content main.hello;", "JavaScript"),
        ("js_header_filter a;", "JavaScript"),
        ("content_by_lua 'x';", "Lua"),
        ("content_by_lua_block { ngx.say('it is') }", "Lua"),
        ("access_by_lua_file /x;", "Lua"),
        ("lua_socket_connect_timeout 1s;", "Lua"),
        ("modsecurity_rules_file /x;", "guard"),
        ("subs_filter a b;", "sub_filter"),
        ("fancyindex on;", "nginx beside"),
        ("redis_pass 127.0.0.1:1;", "service"),
    ],
)
def test_in_a_location_there_is_advice(tmp_path: Path, line: str, advice: str) -> None:
    found = list(problems(f"events {{ }} http {{ {SERVER.format(line)} }}", tmp_path))
    assert len(found) == 1
    assert f'"{line.split()[0].rstrip(";")}" directive is not supported' in found[0].message
    assert advice in (found[0].hint or "")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("mgmt2 { }", None),
        ("events { } http { ip2location /x.bin; }", "geo"),
        ("events { } http { lua_shared_dict a 1m; }", "Lua"),
        ("events { } http { init_by_lua_block { x = 1 } }", "Lua"),
        ("events { } http { js_import a.js; }", "JavaScript"),
        ("events { } http { limit_zone a $uri 1m; }", "limit_conn_zone"),
        ("events { } http { vhost_traffic_status_zone; }", "metrics"),
        ("events { } http { upstream u { server 127.0.0.1:1; ntlm; } }", "Kerberos"),
        ("events { } http { upstream u { server 127.0.0.1:1; check interval=1000; } }", "health_check"),
        ("events { } http { upstream u { server 127.0.0.1:1; fair; } }", "least_conn"),
        ("events { } http { upstream u { balancer_by_lua_block { x() } } }", "Lua"),
        ("events { } http { server { listen 127.0.0.1:1; ssl_certificate_by_lua_block { x() } } }", "Lua"),
        ("js_load_http_native_module /x; events { } http { }", "JavaScript"),
        ("mail { server { listen 1; } } events { } http { }", "beside"),
    ],
)
def test_elsewhere_there_is_advice(tmp_path: Path, text: str, advice: str | None) -> None:
    hints = [each.hint or "" for each in problems(text, tmp_path) if "is not supported" in each.message]
    assert bool(hints) is (advice is not None)
    assert all((advice or "") in hint for hint in hints)


@pytest.mark.parametrize("text", ["mail { }"])
def test_other_protocols_without_servers_are_left_out(tmp_path: Path, text: str) -> None:
    (found,) = problems(f"{text} events {{ }} http {{ }}", tmp_path)
    assert (found.level, found.message) == ("warn", f'"{text.split()[0]}" has no effect: there is no server in it')


def test_what_a_client_would_miss_is_told_once(tmp_path: Path) -> None:
    lines = (
        "zstd on; zstd_types text/css; zstd_static on; http3 on; http3_hq on; "
        "error_log_tag a b;"
    )
    found = mistakes(f"{lines} {SERVER.format(lines.replace('http3 on; http3_hq on; ', ''))}", tmp_path)
    assert sorted(each.split()[0] for each in found) == [
        '"error_log_tag"',
        '"http3"',
        '"zstd"',
    ]


@pytest.mark.parametrize(
    "line",
    ["zstd off;", "brotli off;", "proxy_cache off;", "zstd_static off;", "session_log off;", "gzip_buffers 4 8k;"],
)
def test_nobody_misses_what_is_off(tmp_path: Path, line: str) -> None:
    assert mistakes(SERVER.format(line), tmp_path) == []


def test_each_load_tells_it_anew(tmp_path: Path) -> None:
    text = f"zstd on; {SERVER.format('')}"
    assert len(mistakes(text, tmp_path)) == len(mistakes(text, tmp_path)) == 1


def test_off_is_said_once_where_nginx_has_it_so(tmp_path: Path) -> None:
    for line in ("proxy_store off;", "slice 0;", "random_index off;"):
        assert mistakes(SERVER.format(line * 2), tmp_path) == [f'"{line.split()[0]}" directive is duplicate']
    assert mistakes(SERVER.format("dav_methods off;" * 2), tmp_path) == []


@pytest.mark.parametrize(
    ("lines", "mode"),
    [
        ("accept_extended_connect on;", "auto"),
        ("accept_extended_connect off;", None),
        ("accept_extended_connect on; websocket off;", "off"),
        ("websocket on; accept_extended_connect off;", "on"),
        ("", None),
    ],
)
def test_another_name_for_websocket_auto(tmp_path: Path, lines: str, mode: str | None) -> None:
    """freenginx says it so, for WebSockets inside of HTTP/2."""
    inner = "location /same { add_header A b; } location /none { accept_extended_connect off; }"
    text = f"server {{ listen 80; {lines} {inner} }}"
    root = compiled(f"events {{ }} http {{ {text} }}", tmp_path).servers[0].root
    same, none = sorted(root.nested.all, key=lambda each: each.name, reverse=True)
    for location, wanted in ((root, mode), (same, mode), (none, mode if "websocket" in lines else None)):
        wish = location[WebSocket].wish
        assert (wish and wish.mode) == wanted


def test_quic_bpf_stands_at_the_top(tmp_path: Path) -> None:
    assert not list(problems("quic_bpf on; events { } http { }", tmp_path))
    assert [each.message for each in problems("events { } http { quic_bpf on; }", tmp_path)] == [
        '"quic_bpf" directive is not allowed here'
    ]


def test_a_stranger_is_never_one_of_ours() -> None:
    """A pattern that fits a declared name would hide a misspelt place behind wrong advice."""
    from penstock.modules.load import known

    known()
    assert REGISTRY.stranger("proxy_pas") is None
    assert REGISTRY.stranger("proxy_set_headers") is None
    assert REGISTRY.stranger("set") is None
    assert REGISTRY.stranger("location") is None


@pytest.mark.parametrize("uri", ["${a}", "$a$b", "$a/x"])
def test_a_predicate_location_is_named_by_one_variable(tmp_path: Path, uri: str) -> None:
    """One that never matches would leave out what it denies."""
    (found,) = mistakes(
        f"server {{ listen 127.0.0.1:80; set $a 1; set $b 1; location {uri} {{ deny all; }} }}", tmp_path
    )
    assert "is named by one variable" in found


def test_a_location_that_matches_nothing_is_told(tmp_path: Path) -> None:
    found = mistakes("server { listen 127.0.0.1:80; location api/ { deny all; } location = x { } }", tmp_path)
    assert found == ['location "api/" matches nothing', 'location "x" matches nothing']


def test_the_first_of_two_named_locations_is_used(tmp_path: Path) -> None:
    text = (
        "server { listen 80; location / { error_page 404 = @down; return 404; } "
        "location @down { return 200 first; } location @down { return 200 second; } }"
    )
    assert mistakes(text, tmp_path) == ['duplicate location "@down": only the first one is used']
    assert Site(text, tmp_path).ask("/").text == "first"


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("api*.example.com", r"~^api.*\.example\.com$"),
        ("*x.example.com", r"~^.*x\.example\.com$"),
        ("a.*.example.com", r"~^a\..*\.example\.com$"),
    ],
)
def test_a_star_amid_a_name_has_advice(tmp_path: Path, name: str, pattern: str) -> None:
    (found,) = problems(f"events {{ }} http {{ server {{ listen 80; server_name {name}; }} }}", tmp_path)
    assert (found.hint or "").endswith(pattern)


@pytest.mark.parametrize(
    "text",
    [
        "resolver fdaa::3;",
        "upstream u { server fdaa::3; }",
        "server { listen fdaa::3; }",
        "server { listen 80; location / { proxy_pass http://fdaa::3; } }",
        "server { listen 80; location / { uwsgi_pass fdaa::3; } }",
        "server { listen 80; location / { tunnel_pass fdaa::3; } }",
        "error_log syslog:server=fdaa::3;",
    ],
)
def test_an_address_without_its_brackets_has_advice(tmp_path: Path, text: str) -> None:
    (found,) = problems(f"events {{ }} http {{ {text} }}", tmp_path)
    assert "[fdaa::3]" in (found.hint or "")


@pytest.mark.parametrize("host", ["a..b", "x" * 64, ".", "a" * 300])
def test_a_host_that_can_be_no_name_is_not_found(tmp_path: Path, host: str) -> None:
    (found,) = mistakes(SERVER.format(f"proxy_pass http://{host}/;"), tmp_path)
    assert found.startswith("host not found in upstream")


@pytest.mark.parametrize("family", ["proxy", "uwsgi"])
def test_messages_name_the_family(tmp_path: Path, family: str) -> None:
    target = {"proxy": "https://127.0.0.1:1", "uwsgi": "suwsgi://127.0.0.1:1"}[family]
    found = mistakes(SERVER.format(f"{family}_pass {target}; {family}_ssl_verify on;"), tmp_path)
    assert found == [f"no {family}_ssl_trusted_certificate for {family}_ssl_verify"]
    found = mistakes(SERVER.format(f"{family}_pass {target}; {family}_ssl_certificate x;"), tmp_path)
    assert found == [f'no "{family}_ssl_certificate_key" is defined for certificate "x"']
