"""`penstock explain`: what it tells of a request, to people and to programs; that it does nothing; the exit code.

That what it tells is what happens is asked in `tests/integration/test_explain_agrees.py`.
"""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.explain.explain import ExplainedRequest, head_of, parse_url
from penstock.cli.main import main
from penstock.observe import errorlog

CONFIGURATION = """\
worker_shutdown_timeout 30s;
events { }
http {
    map $http_upgrade $connection_upgrade { default ''; websocket upgrade; }
    limit_req_zone $binary_remote_addr zone=rate:1m rate=1r/s;
    upstream nodes { ip_hash; server 10.0.0.1:3000 weight=2; server app.invalid:3001; server 10.0.0.3 down; }
    server {
        listen 80;
        server_name www.example.com example.com;
        return 301 https://example.com$request_uri;
    }
    server {
        listen 443;
        listen 127.0.0.1:443;
        server_name example.com *.example.org;
        access_log absent/access.log;
        proxy_set_header Host $host;
        location / { try_files $uri @pages; }
        location @pages { proxy_pass http://nodes; }
        location /ws/ {
            limit_req zone=rate;
            allow 127.0.0.0/8;
            deny all;
            set $kind chat;
            rewrite ^/ws/(.*)$ /socket/$1 break;
            proxy_pass http://nodes;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Kind $kind;
            proxy_set_header X-Empty $arg_none;
            proxy_read_timeout 1h;
        }
        location /plain/ { proxy_pass http://10.0.0.4; }
        location /old/ { proxy_pass http://10.0.0.4; proxy_http_version 1.0; proxy_set_header Upgrade $http_upgrade; }
        location /auto/ { websocket auto; websocket_ping 20s; proxy_pass http://$arg_host:3000; }
        location ~ \\.php$ { return 403; }
        location ^~ /app/ { proxy_pass http://10.0.0.4; }
        location /auth/ { auth_request /ask; auth_basic on; auth_basic_user_file absent; proxy_pass http://10.0.0.4; }
        location = /ask { internal; proxy_pass http://10.0.0.9; }
    }
}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nginx.conf").write_text(CONFIGURATION)
    before = errorlog.fallback()
    yield
    errorlog.set_fallback(before)


@pytest.fixture
def explained(capsys: pytest.CaptureFixture[str]) -> Any:
    """What is told of a URL, as JSON."""

    def explain(*arguments: str, code: int = 0) -> Any:
        assert main(["explain", "-c", "nginx.conf", "--json", *arguments]) == code
        return json.loads(capsys.readouterr().out)

    return explain


def line(text: str, after: str = "") -> int:
    """The number of the line with a text in the configuration."""
    start = CONFIGURATION.index(after)
    return CONFIGURATION[: CONFIGURATION.index(text, start)].count("\n") + 1


def test_the_listener_and_the_server(explained: Any) -> None:
    told = explained("http://www.example.com/a?b=c")
    assert told["listener"]["name"] == "0.0.0.0:80"
    assert [each["name"] for each in told["listener"]["losers"]] == ["0.0.0.0:443", "127.0.0.1:443"]
    assert told["answer"] == "301 to https://example.com/a?b=c"
    assert explained("https://127.0.0.1/")["listener"]["name"] == "127.0.0.1:443"
    told = explained("https://deep.example.org/plain/")
    assert told["server"]["why"] == 'its server_name "*.example.org" matches "deep.example.org"'
    assert explained("http://nobody.test/")["server"]["why"] == "it is the only one at this address"


def why(told: Any) -> list[str]:
    """What keeps a request off the straight way, as JSON tells it."""
    assert told["way"]["name"] == ("general" if told["way"]["why"] else "straight")
    return [each["text"] for each in told["way"]["why"]]


def test_the_straight_way_or_what_keeps_a_request_off_it(explained: Any) -> None:
    assert why(explained("https://example.com/plain/")) == []
    told = explained("https://example.com/auth/")
    assert "auth_request may have to wait" in why(told)
    place = {"file": "nginx.conf", "line": line("location /auth/"), "column": 27}
    assert {"text": "auth_request may have to wait", "span": place} in told["way"]["why"]
    assert why(explained("https://example.com/auto/?host=a")) == ["proxy_pass has variables"]
    assert why(explained("https://example.com/page")) == [
        "it was sent on from another location",
        "it has a name: requests come here from another location",
    ]
    assert why(explained("https://example.com/plain/", "-X", "POST")) == ["the method is POST"]
    assert explained("http://www.example.com/")["way"] is None


def test_the_way_depends_on_the_address_and_on_the_answer(explained: Any) -> None:
    text = CONFIGURATION.replace(
        "listen 443;", "listen 443 ssl; ssl_certificate a; ssl_certificate_key a; http2 on;", 1
    )
    Path("nginx.conf").write_text(text.replace("listen 127.0.0.1:443;", "listen 8080;", 1))
    told = explained("https://example.com/plain/")
    assert why(told) == told["way"]["later"] == []
    told = explained("http://example.com:8080/plain/", "-H", "Accept: text/event-stream")
    assert why(told) == []
    assert [each["text"].partition(",")[0] for each in told["way"]["later"]] == [
        "the first request of a connection may take the general way",
        "an event stream",
    ]


def test_the_way_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-c", "nginx.conf", "/auto/?host=a", "-H", "Host: example.com"]) == 0
    main(["explain", "-c", "nginx.conf", "https://example.com/auth/"])
    said = capsys.readouterr().out
    number = line("location /auth/")
    assert f"way       general, since\n          - auth_basic may have to wait  (nginx.conf:{number})\n" in said
    main(["explain", "-c", "nginx.conf", "https://example.com/plain/"])
    assert "way       straight\n" in capsys.readouterr().out


def test_the_location_and_who_lost(explained: Any) -> None:
    told = explained("https://example.com/ws/x.php")
    assert told["location"]["name"] == "location ~ \\.php$"
    assert [each["name"] for each in told["location"]["losers"]] == ["location /", "location /ws/"]
    told = explained("https://example.com/app/x.php")
    assert told["location"]["why"] == "the longest prefix of /app/x.php, and its ^~ ends the search"
    assert {each["name"]: each["why"] for each in told["location"]["losers"]} == {
        "location /": "a shorter prefix",
        "location ~ \\.php$": "the ^~ of the chosen one keeps regular expressions away",
    }
    assert explained("https://example.com/ws")["answer"] == "301 to /ws/"
    assert explained("https://example.com/page")["location"]["name"] == "location @pages"


def test_what_the_variable_of_a_predicate_was(explained: Any) -> None:
    text = CONFIGURATION.replace(
        "        location /plain/",
        "        location $arg_odd { location $arg_inner { return 204; } proxy_pass http://10.0.0.5; }\n"
        "        location $arg_also { return 204; }\n        location /plain/",
        1,
    )
    Path("nginx.conf").write_text(text)
    told = explained("https://example.com/plain/?odd=yes&also=1&inner=0")
    assert told["location"]["name"] == "location $arg_odd"
    assert told["location"]["why"] == 'the first predicate in the file that holds: $arg_odd is "yes"'
    losers = {each["name"]: each["why"] for each in told["location"]["losers"]}
    assert losers == {
        "location $arg_inner": 'it does not hold: $arg_inner is "0"',
        "location $arg_also": "it holds too, but stands further down, or in a location that was not chosen",
        "location /": "a predicate that holds comes before a prefix",
        "location /plain/": "a predicate that holds comes before a prefix",
    }
    told = explained("https://example.com/app/?odd=1")
    assert {each["name"]: each["why"] for each in told["location"]["losers"]} == {
        "location $arg_odd": "the ^~ of the chosen one keeps predicates away",
        "location $arg_inner": 'it does not hold: $arg_inner is ""',
        "location $arg_also": 'it does not hold: $arg_also is ""',
        "location /": "a shorter prefix",
    }
    assert why(explained("https://example.com/plain/?odd=1")) == []


def test_each_header_and_its_line(explained: Any) -> None:
    backend = explained("wss://example.com/ws/chat?a=b", "-H", "Cookie: c=d")["backend"]
    assert backend["line"] == "GET /socket/chat?a=b HTTP/1.1"
    told = [(each["name"], each["value"], (each["span"] or {}).get("line")) for each in backend["headers"]]
    assert told == [
        ("Host", "example.com", line("Host $http_host")),
        ("Upgrade", "websocket", line("Upgrade $http_upgrade", "location /ws/")),
        ("Connection", "upgrade", line("Connection $connection_upgrade")),
        ("X-Kind", "chat", line("X-Kind")),
        ("Sec-WebSocket-Version", "13", None),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", None),
        ("Cookie", "c=d", None),
    ]
    (left,) = backend["left_out"]
    assert (left["name"], left["span"]["line"]) == ("X-Empty", line("X-Empty"))
    assert (backend["group"], backend["policy"]) == ("nodes", "ip_hash")
    assert backend["peers"] == ["10.0.0.1:3000 weight=2", "app.invalid:3001", "10.0.0.3 down"]
    timeouts = {each["name"]: (each["value"], each["span"] is None) for each in backend["timeouts"]}
    assert timeouts["proxy_read_timeout"] == ("3600 s", False)
    assert timeouts["proxy_connect_timeout"] == ("60 s", True)


def test_a_quota_is_named_and_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(
        "events { } http { websocket_quota_zone $arg_user zone=users:64k; server { listen 127.0.0.1:80; location / { "
        "websocket auto; websocket_quota users messages=5/d; proxy_pass http://127.0.0.1:1; } } }"
    )
    assert main(["explain", "-c", str(path), "-p", str(tmp_path), "ws://127.0.0.1/?user=a"]) == 0
    told = capsys.readouterr().out
    assert "websocket_quota: counts tunnels and what they say against a quota; taken as below it" in told
    assert "websocket_quota users messages=5/d says so" in told


def test_the_steps(explained: Any) -> None:
    steps = explained("https://example.com/ws/chat")["steps"]
    assert [(each["phase"], each["text"]) for each in steps] == [
        ("search", "/ws/chat: location /ws/"),
        ("rewrite", 'set $kind chat: $kind is "chat"'),
        ("rewrite", "rewrite ^/ws/(.*)$ /socket/$1 break: /ws/chat becomes /socket/chat"),
        ("access", "limit_req: counts requests against a rate; taken as below it"),
        ("access", "access: lets the request in"),
    ]
    told = explained("https://example.com/ws/chat", "--from", "192.0.2.1")
    assert (told["answer"], told["log"]) == ("403", ["access forbidden by rule"])
    modules = [each["text"].partition(":")[0] for each in explained("https://example.com/auth/x")["steps"]]
    assert modules == ["/auth/x", "auth_basic", "auth_request"]


@pytest.mark.parametrize(
    ("url", "survives", "words"),
    [
        ("wss://example.com/ws/chat", True, "Connection names it"),
        ("wss://example.com/auto/?host=a", True, "Upgrade is passed on"),
        ("wss://example.com/plain/", False, "Upgrade is not passed on"),
        ("wss://example.com/old/", False, "the backend is spoken to over HTTP/1.0"),
        ("ws://example.com/", False, "this server answers by itself: 301"),
    ],
)
def test_whether_a_websocket_gets_through(explained: Any, url: str, survives: bool, words: str) -> None:
    told = explained(url, code=int(not survives))["websocket"]
    assert told["survives"] is survives
    assert any(words in each for each in told["why"]), told
    assert bool(told["ends"]) is survives


def test_what_ends_it(explained: Any) -> None:
    ends = explained("wss://example.com/ws/chat")["websocket"]["ends"]
    assert "3600 s (proxy_read_timeout)" in ends[0]
    assert "30 s have gone by after a reload (worker_shutdown_timeout)" in ends
    ends = explained("wss://example.com/auto/?host=a")["websocket"]["ends"]
    assert "websocket_ping 20s" in ends[0]


def test_a_target_that_makes_no_sense(explained: Any) -> None:
    told = explained("https://example.com/auto/?host=://")
    assert (told["backend"], told["answer"]) == (None, "500")
    assert told["log"]


def test_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-c", "nginx.conf", "wss://example.com/ws/chat"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    for words in (
        f"location  location /ws/  (nginx.conf:{line('location /ws/')})",
        "          not location /: a shorter prefix",
        "request   GET /socket/chat HTTP/1.1",
        f"(nginx.conf:{line('X-Kind')})",
        "a WebSocket gets through:",
    ):
        assert words in said, said


def test_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, explained: Any) -> None:
    """No connection, no name looked up, no file made."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr(socket.socket, "connect", never)
    explained("wss://example.com/ws/chat")
    explained("https://example.com/auto/?host=somewhere.test")
    assert [path.name for path in tmp_path.iterdir()] == ["nginx.conf"]


@pytest.mark.parametrize(
    "wrong",
    [
        ["ftp://x/"],
        ["x"],
        ["/", "-H", "no header"],
        ["/", "-X", "G T"],
        ["/", "--from", "nowhere"],
        ["/", "-c", "absent.conf"],
        [],
    ],
)
def test_mistakes(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-c", "nginx.conf", *wrong]) == 2
    assert "penstock explain:" in capsys.readouterr().err


def test_a_configuration_that_is_not_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    Path("nginx.conf").write_text("events { } http { server { proxy_pas http://a; } }\n")
    assert main(["explain", "-c", "nginx.conf", "/"]) == 2
    assert 'unknown directive "proxy_pas"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://a/b?c#d", ExplainedRequest(False, "a", None, "/b?c", False)),
        ("WSS://[::1]:8443", ExplainedRequest(True, "[::1]", 8443, "/", True)),
        ("/only/a/path", ExplainedRequest(False, "", None, "/only/a/path", False)),
        ("http://a:80?q", ExplainedRequest(False, "a", 80, "/?q", False)),
    ],
)
def test_urls(url: str, asked: ExplainedRequest) -> None:
    assert parse_url(url) == asked


def test_heads() -> None:
    asked = ExplainedRequest(True, "a", 8443, "/\xfc b", True)
    head = head_of(asked, "GET", [("Host", "other"), ("Upgrade", "h2c")]).decode("ascii")
    assert head.startswith("GET /%FC%20b HTTP/1.1\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
    assert head.endswith("Host: other\r\nUpgrade: h2c\r\n\r\n")


def test_certificates_that_are_not_here(explained: Any) -> None:
    """Who explains needs none; where they are, they are checked as ever."""
    Path("nginx.conf").write_text(
        "events { } http { server { listen 443 ssl; ssl_certificate /nowhere/a.pem; ssl_certificate_key b.key;\n"
        "ssl_client_certificate ca.pem; ssl_verify_client optional;\n"
        "proxy_ssl_certificate c.pem; proxy_ssl_certificate_key /nowhere/d.pem;\n"
        "location / { proxy_pass https://10.0.0.1; } } }\n"
    )
    told = explained("https://x/")
    assert told["listener"]["name"] == "0.0.0.0:443 with TLS"
    assert told["backend"]["secure"] is True
    told = explained("http://x:443/")
    assert told["answer"] == "400"
    Path("b.key").write_text("no key at all\n")
    assert main(["explain", "-c", "nginx.conf", "https://x/"]) == 2


def test_what_is_done_for_the_health_of_an_upstream(explained: Any, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("""
        events { }
        http {
            upstream app {
                zone app 64k; least_time header; queue 10; websocket_admission rate=10r/s;
                server 127.0.0.1:9101 slow_start=30s;
            }
            server {
                listen 127.0.0.1:80;
                location / {
                    proxy_pass http://app; websocket auto; health_check type=websocket interval=2s;
                    websocket_admission in_progress=4; websocket_on_unhealthy drain;
                }
            }
        }
    """)
    told = explained("ws://127.0.0.1/")
    backend = told["backend"]
    assert backend["policy"] == (
        "least_time header; checked every 2 s (websocket); queue 10; websocket_admission rate=10r/s"
    )
    assert backend["peers"] == ["127.0.0.1:9101 slow_start=30s"]
    assert "websocket_on_unhealthy drain says so" in told["websocket"]["ends"]
    assert not any("admission" in each for each in told["websocket"]["ends"])


def test_a_stream_has_no_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events { } stream { server { listen 127.0.0.1:18999; return a; } }")
    assert main(["explain", "-c", str(path), "http://127.0.0.1:18999/"]) == 2
    assert "port 18999 is a stream's" in capsys.readouterr().err
