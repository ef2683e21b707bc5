"""`penstock explain` says what happens: a thousand requests over random configurations, each explained and then sent.

What is compared: the location that answered (each adds a header of its own), the request line and every header as an
echoing backend saw them, or the status and the Location where this server answers by itself.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.backends import HttpEcho
from harness.proxy import Proxy
from harness.raw import RawClient
from penstock.cli.explain.explain import Explainer, head_of, parse_url
from penstock.doctor.explanation import Explanation
from penstock.observe import errorlog
from penstock.process.startup.launch import Launch

CONFIGURATIONS = 20
REQUESTS = 50
SEGMENTS = ("a", "b", "api", "ws", "v1", "x.php", "r%20m", "a+b", "%2e", "..", "", "room")
NAMES = ("one.test", "*.one.test", "two.*", r"~^(?<who>\w+)\.three\.test$", "deep.one.test", "_", ".four.test")
HOSTS = ("one.test", "deep.one.test", "x.one.test", "two.org", "joe.three.test", "four.test", "x.four.test", "nobody")
PREFIXES = ("/", "/a", "/a/", "/a/b", "/api", "/api/", "/ws/", "/v1/room", "/room", "/b/")
PATTERNS = (r"\.php$", r"^/(a|b)/(.*)$", r"^/api/v(\d)", r"/room$", r"^/(?<first>[^/]+)/")
REWRITES = (
    "rewrite ^/a/(.*)$ /b/$1;",
    "rewrite ^/api/(.*)$ /$1 last;",
    "rewrite ^/v1(.*)$ /api$1?v=1 break;",
    "rewrite ^/b/(.*)$ /$1?;",
    "rewrite /room$ /a/room last;",
    "rewrite ^/x /elsewhere redirect;",
    "set $mood $arg_q-$uri;",
    "if ($arg_q) { set $mood asked; }",
    "if ($request_method = POST) { rewrite ^(.*)$ /posted$1 last; }",
    "if ($http_upgrade) { set $mood upgrade; }",
)
HEADERS = (
    "Host $http_host", "Host $host", "Host backend.test", "X-Uri $uri", "X-Request $request_uri", "X-Mood $mood",
    "Upgrade $http_upgrade", "Connection $connection_upgrade", 'Connection ""', "X-Args $args", 'Cookie ""',
    "X-Forwarded-For $proxy_add_x_forwarded_for", "X-Name $server_name", "X-First $1", "X-Target $proxy_host",
    "X-Scheme $scheme://$host:$server_port$is_args", "Accept text/plain", "X-Who $who",
)  # fmt: skip
RULES = (
    "websocket auto;", "websocket off;", "allow 127.0.0.1; deny all;", "deny 127.0.0.1;", "error_page 403 = /b/;",
    "error_page 403 404 /api/away;", "limit_except GET { deny all; }", "try_files /nothing /room;", "internal;",
    "try_files $uri =418;", "allow 10.0.0.0/8; satisfy any; deny all;", "proxy_pass_request_headers off;",
    "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;", "merge_slashes off;",
)  # fmt: skip
TARGETS = (
    "http://echo", "http://echo", "http://echo/", "http://echo/base", "http://127.0.0.1:{port:api}",
    "http://127.0.0.1:{port:api}/sub/", "http://$group", "http://$group/fixed?q=$arg_q", "http://echo$uri",
)  # fmt: skip
CLIENT_HEADERS = (
    ("Cookie", "a=b"), ("Accept", "*/*"), ("X-Forwarded-For", "192.0.2.7"), ("Upgrade", "websocket"),
    ("Connection", "upgrade"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"),
    ("TE", "trailers"), ("X-Odd", "some thing"), ("X-Odd", "again"), ("under_score", "1"),
)  # fmt: skip


class Writer:
    """Writes one configuration; every location gets a number, which it adds to its answers."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.count = 0

    def text(self) -> str:
        names = self.dice.sample(NAMES, 4)
        method = self.dice.choice(("", "least_conn;", "ip_hash;"))
        servers = "\n".join(self.server(names[place : place + 2]) for place in range(0, 4, 2))
        return f"""
        http {{
            map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
            map $host $group {{ default echo; two.org 127.0.0.1:{{port:api}}; }}
            upstream echo {{ {method} server 127.0.0.1:{{port:api}}; keepalive 0; }}
            {servers}
        }}"""

    def server(self, names: list[str]) -> str:
        top = self.some(REWRITES, 0.15) + self.set_headers(0.2) + self.some(RULES[-2:], 0.2)
        quoted = " ".join(f'"{name}"' for name in names)
        locations = "\n".join(self.locations(1))
        first = f"listen 127.0.0.1:{{port:front}}; server_name {quoted}; set $mood none; set $who '';"
        return f"server {{ {first}\n{top}\n{locations} }}"

    def locations(self, depth: int, within: str = "") -> list[str]:
        made, seen = [], set()
        if depth:
            made, seen = [self.location("", "/", 0)], {(False, "/")}
        for _ in range(self.dice.randint(4, 9) if depth else 2):
            kind = self.dice.choice(("", "", "", "^~", "=", "~", "~*"))
            what = self.dice.choice(PATTERNS if "~" in kind and kind != "^~" else PREFIXES)
            regex = kind in ("~", "~*")
            if (within and not regex and not what.startswith(within)) or (kind == "=", what) in seen:
                continue
            if not regex:
                seen.add((kind == "=", what))
            made.append(self.location(kind, what, depth))
        return made

    def location(self, kind: str, what: str, depth: int) -> str:
        self.count += 1
        lines = [f"add_header X-Location {self.count} always;", self.some(REWRITES, 0.2), self.set_headers(0.5)]
        if self.dice.random() < 0.3:
            lines.append(self.dice.choice(RULES[:-1]))
        inner = []
        regex = kind in ("~", "~*")
        if depth and kind != "=" and self.dice.random() < 0.3:
            inner = self.locations(0, what if not regex else "")
        if self.dice.random() < 0.1:
            lines.append(self.dice.choice(("return 204;", "return 302 /b/;", "return 403;", "return 200 $uri;")))
        else:
            target = self.dice.choice(TARGETS)
            if regex and "$" not in target:
                target = "http://echo"
            lines.append(f"proxy_pass {target};")
            lines.append(self.dice.choice(("", "", "proxy_http_version 1.0;", "proxy_method PUT;")))
        # All on the line that tells the location by its number.
        return f"location {kind} {what} {{ {' '.join(lines)}\n{' '.join(inner)} }}"

    def set_headers(self, chance: float) -> str:
        if self.dice.random() > chance:
            return ""
        return " ".join(f"proxy_set_header {each};" for each in self.dice.sample(HEADERS, self.dice.randint(1, 6)))

    def some(self, lines: tuple[str, ...], chance: float) -> str:
        return " ".join(line for line in lines if self.dice.random() < chance)

    def request(self) -> tuple[str, str, list[tuple[str, str]]]:
        path = "/" + "/".join(self.dice.choice(SEGMENTS) for _ in range(self.dice.randint(0, 4)))
        query = self.dice.choice(("", "", "?q=1", "?", "?a=b&q=%20"))
        headers = [each for each in CLIENT_HEADERS if self.dice.random() < 0.25]
        return self.dice.choice(HOSTS), path + query, headers


def numbered(text: str) -> dict[int, str]:
    """The number of the location that each line of a configuration begins, if one does."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if "add_header X-Location " in line:
            found[number] = line.split("add_header X-Location ")[1].split()[0]
    return found


def sent(front: Proxy, head: bytes, method: str) -> Any:
    with RawClient(front.port()) as client:
        return client.send(head).response(method)


def compare(told: Explanation, answer: Any, numbers: dict[int, str]) -> None:
    span = None if told.location is None else told.location.span  # none where the server itself has sent it elsewhere
    assert answer.header("X-Location") == (None if span is None else numbers[span.line]), "the location"
    if told.backend is None:
        assert told.answer is not None
        status, _, where = told.answer.partition(" to ")
        assert answer.status == int(status)
        if where:
            assert (answer.header("Location") or "").endswith(where)
        return
    seen = json.loads(answer.body)
    assert seen["line"] == told.backend.line, "the request line"
    assert f" {told.backend.uri} HTTP/1." in seen["line"]
    explained = [[each.name, each.value.strip()] for each in told.backend.headers]
    assert seen["headers"] == explained


@pytest.fixture(autouse=True)
def _log_put_back() -> Any:
    before = errorlog.fallback()
    yield
    errorlog.set_fallback(before)


@pytest.mark.parametrize("seed", range(CONFIGURATIONS))
def test_it_happens_as_explained(seed: int, proxy: Any) -> None:
    writer = Writer(seed)
    with HttpEcho() as backend:
        front = proxy(writer.text(), ports={"api": backend.port})
        path = Path(front.directory / "nginx.conf")
        explainer = Explainer(Launch(f"{front.directory}/", str(path), ""))
        numbers = numbered(path.read_text())
        by_backend = 0
        for _ in range(REQUESTS):
            host, target, headers = writer.request()
            method = writer.dice.choice(("GET", "GET", "POST", "HEAD"))
            if method == "HEAD":
                method = "OPTIONS"  # a HEAD's answer shows nothing of what the backend saw
            asked = parse_url(f"http://{host}:{front.port()}{target}")
            assert asked is not None
            head = head_of(asked, method, headers)
            told = explainer.explain(asked, head)
            answer = sent(front, head, method)
            by_backend += told.backend is not None
            try:
                compare(told, answer, numbers)
            except (AssertionError, ValueError) as error:
                error.add_note(f"{head.decode('latin-1')}\n{answer}\n{told}\n{path.read_text()}")
                raise
        assert by_backend > REQUESTS / 10, "much of it is about what backends get"
