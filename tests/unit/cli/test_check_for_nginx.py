"""`penstock check --for nginx`: what nginx says, of whatever version, and nothing that only Penstock says."""

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main


@pytest.fixture
def messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)

    def look(lines: str, target: str = "nginx", http: str = "") -> list[str]:
        Path("nginx.conf").write_text(f"events {{ }} http {{ {http} server {{ listen 8080; {lines} }} }}\n")
        main(["check", "nginx.conf", "--for", target, "--format", "json", "--fail-on", "never"])
        return [f"{each['severity']}: {each['message']}" for each in json.loads(capsys.readouterr().out)["findings"]]

    return look


@pytest.mark.parametrize(
    "lines",
    [
        "location / { proxy_pas http://a:1; }",
        "lissten 80;",
        "location / { proxy_set_headers a b; }",
        "location / { proxy_pass http://127.0.0.1:1; proxy_read_timout 1h; }",
    ],
)
def test_a_slip_is_a_slip_for_nginx_too(messages: Any, lines: str) -> None:
    assert [each for each in messages(lines) if each.startswith("error: unknown directive")]
    assert messages(lines) == messages(lines, "penstock")


@pytest.mark.parametrize(
    "lines",
    [
        "location / { content_by_lua_block { } }",
        "location / { allow 127.0.0.1; deny all; vhost_traffic_status_display; }",
        "location / { echo hello; }",
        "location / { js_content main.hello; }",
        "location / { nchan_subscriber; }",
        "set_by_lua_block $who { return 1 } location / { add_header X-Who $who; }",
        "location / { more_set_headers a; }",
        "location ~ (?<a>x)(?R)? { return 200; }",
        "location / { fastcgi_pass 127.0.0.1:9000; }",
        "location / { proxy_pass http://127.0.0.1:1; proxy_cache off; proxy_cache_valid 200 1m; }",
        "listen 8443 quic; http3 on;",
        "location / { return 200 $geoip_city; }",
        "location $arg_x { return 200; }",
    ],
)
def test_what_only_penstock_refuses_is_left_out(messages: Any, lines: str) -> None:
    assert messages(lines) == []


def test_what_an_example_leaves_out_is_no_unknown_directive(messages: Any) -> None:
    for target in ("nginx", "penstock"):
        assert messages("location / { ... ; }\n ...\nlocation /b { return 200; }", target) == []


def test_an_unknown_module_may_be_there(messages: Any) -> None:
    (said,) = messages("qqzz_wibble on;")
    assert said.startswith("warning: unknown directive"), "nothing is near it, and a module may have it"


@pytest.mark.parametrize("line", ["websocket auto;", "websocket_ping 20s;", "websocket_max_lifetime 1h;"])
def test_what_is_penstock_s_own_is_unknown_to_nginx(messages: Any, line: str) -> None:
    name = line.partition(" ")[0]
    text = f"location / {{ proxy_pass http://127.0.0.1:1; proxy_read_timeout 1h; {line} }}"
    assert f'error: nginx knows no directive "{name}"' in messages(text)
    assert messages(text, "penstock") == []


@pytest.mark.parametrize(
    ("lines", "target", "said"),
    [
        ("http2 on;", "nginx/1.24", ['error: nginx 1.24 knows no directive "http2"']),
        ("http2 on;", "nginx/1.25.1", []),
        ("http2 on;", "nginx", []),
        ("listen 8443 http2;", "nginx/1.24", []),
        ("listen 8443 http2;", "nginx/1.26", ["warning: the \"listen ... http2\" directive is deprecated"]),
        ("listen 8443 http2;", "nginx", ["warning: the \"listen ... http2\" directive is deprecated"]),
        ("http2_push_preload on;", "nginx/1.24", []),
        ("http2_push_preload on;", "nginx/1.26", ["warning: the \"http2_push_preload\" directive is obsolete"]),
        ("ssl off;", "nginx/1.24", ["warning: the \"ssl\" directive is deprecated"]),
        ("ssl off;", "nginx/1.26", ['error: nginx 1.26 knows no directive "ssl"']),
        ("listen 8443 quic;", "nginx/1.24", ['error: nginx 1.24 knows no parameter "quic" of "listen"']),
        ("early_hints 1;", "nginx/1.28", ['error: nginx 1.28 knows no directive "early_hints"']),
        ("location $host { }", "nginx/1.30", ['error: nginx 1.30 knows no parameter "$variable" of "location"']),
        ("location $host { }", "nginx", []),
    ],
)  # fmt: skip
def test_versions(messages: Any, lines: str, target: str, said: list[str]) -> None:
    found = messages(lines, target)
    assert len(found) == len(said), found
    assert all(one.startswith(other) for one, other in zip(found, said, strict=True)), found


def test_resolve_came_late(messages: Any) -> None:
    group = "resolver 127.0.0.11; upstream u { zone u 64k; server app:1 resolve; }"
    said = 'error: nginx 1.26 knows no parameter "resolve" of "server"'
    assert said in messages("", "nginx/1.26", group)
    assert messages("", "nginx/1.28", group) == []
