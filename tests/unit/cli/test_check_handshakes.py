"""`penstock check` and `penstock explain` agree on whether a WebSocket gets through."""

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main

HEADERS = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
USUAL = "proxy_set_header Host $http_host; proxy_read_timeout 1h;"


def written(path: str, lines: str, server: str = "", target: str = "http://127.0.0.1:3000") -> str:
    return (
        'events { }\nhttp { map $http_upgrade $connection_upgrade { default upgrade; "" ""; }\n'
        f"server {{ listen 8080; {server}\nlocation {path} {{ proxy_pass {target}; {USUAL} {lines} }} }} }}\n"
    )


FAIL = {
    "a letter of the variable is missing": (written("/ws/", HEADERS.replace("http_upgrade", "http_upgrad")), "/ws/"),
    "a variable that nobody sends": (written("/ws/", HEADERS.replace("$http_upgrade", "$http_x_upgrade")), "/ws/"),
    "another letter": (written("/ws/", HEADERS.replace("connection_upgrade", "http_conection")), "/ws/"),
    "no key": (written("/ws/", f'{HEADERS} proxy_set_header Sec-WebSocket-Key "";'), "/ws/"),
    "no key, by a variable": (written("/ws/", f"{HEADERS} proxy_set_header Sec-WebSocket-Key $http_key;"), "/ws/"),
    "no version": (written("/app", f'{HEADERS} proxy_set_header Sec-WebSocket-Version "";'), "/app"),
    "no headers": (written("/ws/", f"{HEADERS} proxy_pass_request_headers off;"), "/ws/"),
    "another method": (written("/ws/", f"{HEADERS} proxy_method POST;"), "/ws/"),
    "limit_except": (written("/ws/", f"{HEADERS} limit_except POST {{ deny all; }}"), "/ws/"),
    "limit_except, for some": (written("/ws/", f"{HEADERS} limit_except PUT {{ allow ::1; deny all; }}"), "/ws/"),
    "quotes": (written("/ws/", HEADERS.replace("$connection_upgrade", "“upgrade”")), "/ws/"),
    "single quotes": (written("/ws/", HEADERS.replace("$connection_upgrade", "\u2018upgrade\u2019")), "/ws/"),
    "german quotes": (written("/ws/", HEADERS.replace("$http_upgrade", "„$http_upgrade“")), "/ws/"),
    "return": (written("/ws/", f"{HEADERS} return 404;"), "/ws/"),
    "an if on the method": (written("/ws/", f"{HEADERS} if ($request_method = GET) {{ return 405; }}"), "/ws/"),
    "an if of the server": (written("/ws/", HEADERS, "if ($request_method !~ POST) { return 405; }"), "/ws/"),
    "an if on Upgrade": (written("/ws/", HEADERS, 'if ($http_upgrade != "WebSocket") { return 400; }'), "/ws/"),
    "a pattern": (written(r"~ ^/(ws|chat)/(\w+)$", f"{HEADERS} proxy_method POST;"), "/ws/a"),
    "the end of a path": (written(r"~* \.ws$", f"{HEADERS} proxy_pass_request_headers off;"), "/a.ws"),
    "an exact path": (written("= /socket.io", HEADERS), "/socket.io/"),
    "a pattern without the slash": (written(r"~ ^/socket\.io$", HEADERS), "/socket.io/"),
    "a predicate": (written("$http_upgrade", f"{HEADERS} proxy_method POST;"), "/any"),
    "a prefix above all": (written("^~ /chat/ws", f"{HEADERS} proxy_method HEAD;"), "/chat/ws"),
}

NAMED = f"location @app {{ proxy_pass http://127.0.0.1:3000; {USUAL} %s }}"
"""Where a handshake ends that came to a location without a proxy_pass of its own."""
FAIL |= {
    "the answer's Upgrade": (written("/ws/", f"{HEADERS} proxy_hide_header Upgrade;"), "/ws/"),
    "the answer's key": (written("/ws/", f"{HEADERS} proxy_hide_header sec-websocket-accept;"), "/ws/"),
    "a body": (written("/ws/", f"{HEADERS} proxy_set_body x;"), "/ws/"),
    "a length": (written("/ws/", f"{HEADERS} proxy_set_header Content-Length 10;"), "/ws/"),
    "chunks": (written("/ws/", f"{HEADERS} proxy_set_header Transfer-Encoding chunked;"), "/ws/"),
    "all down": (
        written("/ws/", HEADERS, target="http://app").replace(
            "server {", "upstream app { server [::1]:3 down; } server {", 1
        ),
        "/ws/",
    ),
    "all requests go elsewhere": (written("/ws/", HEADERS, "location ~ . { proxy_pass http://[::1]:1; }"), "/ws/"),
    "the server answers": (written("/ws/", HEADERS, "return 301 https://$host$request_uri;"), "/ws/"),
    "try_files": (
        written("/ws/", HEADERS, NAMED % "").replace(
            "location /ws/ { proxy_pass http://127.0.0.1:3000;", "location /ws/ { try_files $uri @app;"
        ),
        "/ws/",
    ),
    "an error page": (
        written("/", "error_page 418 = @app; if ($http_upgrade = websocket) { return 418; }", NAMED % ""), "/",
    ),
    "a proxy_pass in an if": (
        written("/", 'if ($http_upgrade ~* "^websocket$") { proxy_pass http://127.0.0.1:3001; }'), "/",
    ),
    "a backend by Upgrade": (
        written("/", "", target="http://$there").replace(
            "server {", 'map $http_upgrade $there { default 127.0.0.1:1; "" 127.0.0.1:2; } server {', 1
        ),
        "/",
    ),
    "a library's path": (written("/socket.io/", HEADERS, target="http://127.0.0.1:3000/"), "/socket.io/"),
}  # fmt: skip


BEHIND = {
    "a host": 'if ($http_host != "chat.example.com") { return 444; }',
    "a scheme": "if ($scheme = http) { return 301 https://$host$request_uri; }",
    "a token": 'if ($arg_token = "") { return 403; }',
    "a flag": "set $bad 0; if ($http_origin !~ example) { set $bad 1; } if ($bad) { return 403; }",
    "a map": "if ($robot) { return 403; }",
}


@pytest.mark.parametrize("name", BEHIND)
def test_a_condition_on_the_client_hides_nothing_behind_it(name: str, checked: Any) -> None:
    """It is passed over; what comes after it fails for everybody."""
    more = 'map $http_user_agent $robot { default 1; "~*firefox" 0; }'
    for lines in (("proxy_method POST;", BEHIND[name]), (f"{BEHIND[name]} proxy_method POST;", "")):
        (found,) = checked(written("/ws/", f"{HEADERS} {lines[0]}", lines[1]).replace("http {", f"http {{ {more}"))
        assert found["rule"] == "handshake-fails"
        assert "another method" in found["message"]
    assert checked(written("/ws/", HEADERS, BEHIND[name]).replace("http {", f"http {{ {more}")) == []


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)

    def look(text: str) -> Any:
        Path("nginx.conf").write_text(text, "utf-8")
        main(["check", "nginx.conf", "--format", "json", "--fail-on", "never"])
        return json.loads(capsys.readouterr().out)["findings"]

    return look


def survives(target: str) -> bool:
    return main(["explain", "-c", "nginx.conf", f"ws://localhost:8080{target}"]) == 0


@pytest.mark.parametrize("name", FAIL)
def test_what_does_not_get_through_is_found(name: str, checked: Any) -> None:
    text, target = FAIL[name]
    found = checked(text)
    assert not survives(target)
    assert len(found) == 1, found
    assert found[0]["severity"] == "warning"


PASS = {
    "as it should be": (written("/ws/", HEADERS), "/ws/"),
    "by our own directive": (written("/ws/", "websocket auto;"), "/ws/"),
    "with the slash": (written("/socket.io/", HEADERS), "/socket.io/?EIO=4"),
    "below a path": (written("/shop/socket.io/", HEADERS), "/shop/socket.io/"),
    "a predicate": (written("$http_upgrade", HEADERS), "/"),
    "whatever the method": (written("/ws/", f"{HEADERS} limit_except GET {{ deny all; }}"), "/ws/"),
    "a literal": (written("/ws/", "proxy_set_header Upgrade websocket; proxy_set_header Connection Upgrade;"), "/ws/"),
    "a pattern": (written(r"~ ^/(ws|chat)/(\w+)$", HEADERS), "/ws/a"),
    "no length": (written("/ws/", f'{HEADERS} proxy_set_header Content-Length "";'), "/ws/"),
    "the client's length": (written("/ws/", f"{HEADERS} proxy_set_header Content-Length $content_length;"), "/ws/"),
    "hidden and passed": (written("/ws/", f"{HEADERS} proxy_hide_header Upgrade; proxy_pass_header Upgrade;"), "/ws/"),
    "an error page": (
        written("/", "error_page 418 = @app; if ($http_upgrade = websocket) { return 418; }", NAMED % HEADERS),
        "/",
    ),
}


@pytest.mark.parametrize("name", PASS)
def test_what_gets_through_is_left_in_peace(name: str, checked: Any) -> None:
    text, target = PASS[name]
    assert checked(text) == []
    assert survives(target)


ONLY_SOME = {
    "addresses": f"{HEADERS} allow 10.0.0.0/8; deny all;",
    "origins": f"{HEADERS} if ($http_origin !~ example) {{ return 403; }}",
    "cookies": f'{HEADERS} if ($cookie_session = "") {{ return 403; }}',
    "our origins": "websocket auto; websocket_origins https://chat.example.com;",
    "a password": f"{HEADERS} auth_basic closed; auth_basic_user_file /nowhere/users;",
    "whom a predicate is for": f"{HEADERS} location $cookie_a {{ proxy_pass http://127.0.0.1:1; proxy_method POST; }}",
    "refused on purpose": f"{HEADERS} websocket off;",
}


@pytest.mark.parametrize("name", ONLY_SOME)
def test_what_depends_on_who_asks_is_not_judged(name: str, checked: Any) -> None:
    assert checked(written("/ws/", ONLY_SOME[name])) == []


CUT = {
    "slashes": written("/socket.io/", HEADERS, target="http://127.0.0.1:3000/"),
    "a rewrite": written("/socket.io/", f"{HEADERS} rewrite ^/socket.io/(.*) /$1 break;"),
    "another path": written("/socket.io/", HEADERS, target="http://127.0.0.1:3000/io/"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_library_keeps_its_path(name: str, checked: Any) -> None:
    (found,) = checked(CUT[name])
    assert found["rule"] == "handshake-fails"
    assert "listens at /socket.io/" in found["message"]


def test_what_is_missing_on_this_machine_hides_nothing(checked: Any) -> None:
    text, _ = FAIL["no key"]
    text = text.replace("listen 8080;", "listen 443 ssl; ssl_certificate /nowhere/a; ssl_certificate_key /nowhere/b;")
    assert "handshake-fails" in {each["rule"] for each in checked(text)}
    assert "handshake-fails" in {each["rule"] for each in checked(text.replace("http {", "http { include /no/types;"))}
    piece = text.partition("\nserver")[2].rstrip(" }\n") + " } }"
    assert "handshake-fails" in {each["rule"] for each in checked(f"server{piece}")}, "nor what other files have"
