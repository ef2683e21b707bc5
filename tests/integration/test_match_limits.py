"""Patterns that could be matched for hours are given up at once, wherever they stand, and others are served meanwhile.

Once with the PCRE2 library, if there, and once with Python's own engine alone.
"""

import re
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.backends import RawBackend, read_head
from harness.certs import Authority
from harness.http2 import Http2Client
from harness.proxy import Proxy, in_server
from harness.raw import RawClient, Response
from harness.waiting import eventually
from oracles import pcre2
from penstock.config.regex.pcre2 import VARIABLE

LONG = "/a" * 3500
HEADER = "a" * 7000 + "!"
SHORT = "a" * 200 + "!"
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
GIVEN_UP = r"\[alert\] .*pcre2_match\(\) failed: -47 on "

FRONT = (
    r"""
worker_processes 1;
http {
    large_client_header_buffers 4 32k;
    map $http_x $mapped { "~^(a+)+$" yes; default no; }
    server {
        listen 127.0.0.1:{port:front};
        server_name localhost;
        location / { return 200 "plain\n"; }
        location /l/ {
            location ~ ^/l/(.*)/(.*)/(.*)\.html$ { return 200 "$3\n"; }
        }
        location ^~ /r/ { rewrite ^/r/(.*)/(.*)/(.*)\.html$ /there?$1 redirect; return 200 "not rewritten\n"; }
        location /if { if ($http_x ~ "^(a+)+$") { return 200 "matches\n"; } return 200 "does not\n"; }
        location /not { if ($http_x !~* "^(a+)+$") { return 200 "does not\n"; } return 200 "matches\n"; }
        location ^~ /split/ {
            fastcgi_split_path_info ^/split/((?:[^/.]+/?)+\.php)(/.*)$;
            return 200 "$fastcgi_script_name+$fastcgi_path_info\n";
        }
        location /map { return 200 "$mapped\n"; }
        location /referer {
            valid_referers ~^(a+)+/$;
            if ($invalid_referer) { return 403; }
            return 200 "welcome\n";
        }
        location /gzip { gzip on; gzip_min_length 1; gzip_types *; gzip_disable "^(a+)+$"; return 200 "0123456789\n"; }
        location /origin { websocket on; websocket_origins "~(a+)+"; proxy_pass http://127.0.0.1:{port:api}; }
        location /redirect {
            proxy_redirect ~^(a+)+$ /elsewhere;
            proxy_redirect ~^(a+)!$ /second;
            proxy_cookie_path ~^(a+)+$ /;
            proxy_cookie_flags ~^(a+)+$ secure;
            proxy_pass http://127.0.0.1:{port:api}/;
        }
        location /ssi { ssi on; default_type text/html; root {dir}/www; }
    }
    server {
        listen 127.0.0.1:{port:front};
        server_name ~^(?<first>[a-z]+)+\.([a-z]+)+\.example$;
        location / { return 200 "$first\n"; }
    }
}
"""
)

ENGINES = ["python", pytest.param("", marks=pytest.mark.skipif(pcre2.LIBRARY is None, reason="no PCRE2 library"))]


@pytest.fixture(params=ENGINES, ids=["python", "pcre2"], scope="module")
def front(request: pytest.FixtureRequest):
    page = "".join(
        f'<!--#set var="x" value="{HEADER}" --><!--#if expr="$x = /^(a+)+$/" -->yes<!--#endif -->'
        for _ in range(40)
    )
    answer = (
        f"HTTP/1.1 302 Found\r\nLocation: {SHORT}\r\nSet-Cookie: {SHORT}=1; path={SHORT}\r\n"
        "Content-Length: 0\r\nConnection: close\r\n\r\n"
    ).encode()
    with (
        RawBackend([read_head, answer]) as backend,
        Proxy(
            FRONT,
            ports={"api": backend.port},
            files={"www/ssi": page + "end"},
            env={VARIABLE: request.param},
            expect=[GIVEN_UP],
        ) as proxy,
    ):
        yield proxy


def _ask(front: Proxy, path: str, headers: dict[str, str] | None = None) -> Response:
    """The answer, and that it came in time: of this a free machine needs a hundredth."""
    return front.get(path, headers, timeout=60)


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("/l" + LONG, {}, 500, None),
        ("/r" + LONG, {}, 500, None),
        ("/if", {"X": HEADER}, 500, None),
        ("/not", {"X": HEADER}, 500, None),
        ("/map", {"X": HEADER}, 200, b"no\n"),
        ("/split/" + "a" * 5000 + ".php", {}, 200, b"+\n"),
        ("/referer", {"Referer": f"http://{SHORT}/"}, 403, None),
        ("/origin", {"Origin": HEADER, **HANDSHAKE}, 403, None),
        ("/gzip", {"User-Agent": HEADER, "Accept-Encoding": "gzip"}, 200, b"0123456789\n"),
    ],
)
def test_it_is_given_up(front: Proxy, path: str, headers: dict[str, str], status: int, body: bytes | None) -> None:
    before = len(re.findall(GIVEN_UP, front.error_log()))
    answer = _ask(front, path, headers)
    assert answer.status == status
    assert body is None or answer.body == body
    eventually(lambda: len(re.findall(GIVEN_UP, front.error_log())) > before, why="a line in the error log")


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/l/a/b/c.html", {}, b"c\n"),
        ("/split/a/b.php/c", {}, b"a/b.php+/c\n"),
        ("/if", {"X": "aaa"}, b"matches\n"),
        ("/not", {"X": "AAA"}, b"matches\n"),
        ("/map", {"X": "a" * 3000}, b"yes\n"),
        ("/referer", {"Referer": "http://aaa/"}, b"welcome\n"),
        ("/" + "x/" * 3000, {}, b"plain\n"),
    ],
)
def test_what_matches_matches(front: Proxy, path: str, headers: dict[str, str], body: bytes) -> None:
    answer = _ask(front, path, headers)
    assert (answer.status, answer.body) == (200, body)


def test_what_a_backend_sends(front: Proxy) -> None:
    answer = _ask(front, "/redirect/")
    assert (answer.header("location") or "").endswith("/second"), "the next rule is tried"
    cookie = (answer.header("set-cookie") or "").lower()
    assert "path=aaa" in cookie, "left as it was"
    assert "secure" in cookie, "flags protect, and whether this cookie is meant could not be told"


def test_the_expressions_of_a_page_are_bounded_together(front: Proxy) -> None:
    answer = _ask(front, "/ssi")
    assert answer.status == 200
    assert answer.body.endswith(b"end")
    assert answer.body.count(b"an error occurred") >= 40


def test_a_server_by_its_name(front: Proxy) -> None:
    assert _ask(front, "/", {"Host": "ab.cd.example"}).body == b"ab\n"
    assert _ask(front, "/", {"Host": "a" * 60 + "." + "b" * 60 + ".examplf"}).status == 500


def test_others_are_served_meanwhile(front: Proxy) -> None:
    stop = threading.Event()
    answered: list[int] = []

    def attack() -> None:
        while not stop.is_set():
            answered.append(_ask(front, "/l" + LONG).status)

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        for _ in range(5):
            assert _ask(front, "/").body == b"plain\n"
    finally:
        stop.set()
        thread.join(15)
    assert set(answered) == {500}


NAMED = r"""
http {
    http2 on;
    ssl_certificate {value:certificate};
    ssl_certificate_key {value:key};
    server { listen 127.0.0.1:{port:front}; listen 127.0.0.1:{port:tls} ssl; location / { return 200 "first\n"; } }
    server {
        listen 127.0.0.1:{port:front};
        listen 127.0.0.1:{port:tls} ssl;
        server_name ~^(?<first>[a-z]+)+\.([a-z]+)+\.example$;
        location / { return 200 "$first\n"; }
    }
}
"""
NAMELESS = "a" * 60 + "." + "b" * 60 + ".examplf"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_by_its_name_over_http2_and_tls(engine: str, proxy: Any, authority: Authority) -> None:
    pair = authority.issue("localhost")
    values = {"certificate": pair.certificate, "key": pair.key}
    front = proxy(NAMED, values=values, env={VARIABLE: engine}, expect=[GIVEN_UP])
    with Http2Client(front.port("front")) as client:
        assert client.get("/", host="ab.cd.example").body == b"ab\n"
        assert client.get("/", host=NAMELESS).status == 500
        assert client.get("/", host="ab.cd.example").body == b"ab\n", "the others go on"
    trusting = authority.client_context()
    trusting.check_hostname = False
    with pytest.raises(ssl.SSLError, match=r"(?i)internal"), RawClient(front.port("tls"), tls=trusting, name=NAMELESS):
        pass
    with RawClient(front.port("tls"), tls=trusting, name="ab.cd.example") as client:
        client.send("GET / HTTP/1.1\r\nHost: ab.cd.example\r\n\r\n")
        assert client.response().body == b"ab\n"


@pytest.mark.parametrize("jit", ["on", "off"])
@pytest.mark.skipif(pcre2.LIBRARY is None, reason="no PCRE2 library")
def test_what_only_pcre_knows(jit: str, proxy: Any) -> None:
    front = proxy(
        f"""
        pcre_jit {jit};
        http {{
            map $arg_a $mapped {{ "~(*UTF8)^(?<letter>.)$" "<$letter>"; default none; }}
            server {{
                listen 127.0.0.1:{{port:front}};
                location ~ ^/(?|a(?<n>\\d+)|b-(?<n>\\d+))$ {{ return 200 "$n $1 $mapped"; }}
                location ~ ^/(?<round>\\((?:[^()]|(?&round))*\\))$ {{ rewrite ^/\\(\\K(.*)\\)$ /there?$1 redirect; }}
            }}
        }}
        """
    )
    assert front.get("/a12?a=x").text == "12 12 <x>"
    assert front.get("/b-3?a=\xc3\xa9").body == b"3 3 <\xc3\xa9>"
    assert front.get("/b-3?a=xx").text == "3 3 none"
    assert (front.get("/(a(b)c)").header("Location") or "").endswith("/there?a(b)c")
    assert front.get("/(a(bc)").status == 404


def test_without_the_library_it_is_said_what_to_install(proxy: Any) -> None:
    text = in_server("location ~ ^/(?|a|b)$ { return 200; }")
    refused = proxy.refuses(text, env={VARIABLE: "python"})
    assert refused.code == 1
    assert "branch reset (?| is not supported" in refused.output
    assert "libpcre2-8-0" in refused.output


@pytest.mark.skipif(pcre2.LIBRARY is None, reason="no PCRE2 library")
def test_the_library_is_there_before_workers_are(proxy: Any) -> None:
    """A worker may not be able to read it, and a reload may bring the first pattern that needs it."""
    plain = in_server("location / { return 200; }")
    front = proxy(plain)
    (worker,) = eventually(front.children, why="a worker")
    assert "libpcre2-8" in Path(f"/proc/{worker}/maps").read_text()
    front.reload(in_server("location ~ ^/(?|a(.)|b(.))$ { return 200 $1; }"))
    assert front.get("/bx").text == "x"


def test_an_engine_that_nobody_knows(proxy: Any) -> None:
    refused = proxy.refuses(in_server("location / { return 200; }"), env={VARIABLE: "perl"})
    assert refused.code == 1
    assert 'PENSTOCK_REGEX is "perl"; it may be "pcre2" or "python"' in refused.output
