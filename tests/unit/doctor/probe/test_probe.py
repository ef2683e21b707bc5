"""What a probe makes of addresses, of others' text, and of who answered."""

import pytest

from penstock.doctor.probe.hops import who_answered
from penstock.doctor.probe.idle import likely
from penstock.doctor.probe.steps import safe, time_shown
from penstock.doctor.probe.target import parse_target
from penstock.http.response import parse_response


@pytest.mark.parametrize(
    ("text", "url", "authority"),
    [
        ("wss://example.com/chat?x=1", "wss://example.com/chat?x=1", "example.com"),
        ("https://Example.com:8443", "wss://example.com:8443/", "example.com:8443"),
        ("localhost:3000/ws", "ws://localhost:3000/ws", "localhost:3000"),
        (":3000", "ws://localhost:3000/", "localhost:3000"),
        ("3000", "ws://localhost:3000/", "localhost:3000"),
        ("ws://[::1]:80/a b", "ws://[::1]/a%20b", "[::1]"),
        ("wss://bücher.example/", "wss://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://h/%2e/é", "ws://h/%2e/%C3%A9", "h"),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, url: str, authority: str) -> None:
    target = parse_target(text)
    assert (target.url, target.authority) == (url, authority)


def test_what_is_left_out_is_taken_from_the_other_address() -> None:
    base = parse_target("wss://example.com/chat?x=1")
    assert parse_target("127.0.0.1:8443", base).url == "wss://127.0.0.1:8443/chat?x=1"
    assert parse_target("ws://127.0.0.1:3000/other", base).url == "ws://127.0.0.1:3000/other"


@pytest.mark.parametrize("text", ["ftp://a/", "ws://", "ws://a:99999/", "ws://u:p@a/", "ws://[::1/"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_target(text)


def test_origin_is_that_of_a_page_on_the_same_host() -> None:
    assert parse_target("wss://example.com/x").origin == "https://example.com"
    assert parse_target("localhost:3000").origin == "http://localhost:3000"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("gr\xc3\xbc\xc3\x9fe", "grüße"),
        ("\xff\xfe", "ÿþ"),
        ("\xe2\x80\xaeevil", "\\u202eevil"),
        ("a\r\nb", "a\\r\\nb"),
        ("x" * 200, "x" * 160 + "..."),
    ],
)
def test_others_text_cannot_do_anything(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_times_are_short() -> None:
    assert [time_shown(t) for t in (0.0004, 0.025, 1.5, 61.2)] == ["0.4 ms", "25 ms", "1.50 s", "61.2 s"]


NGINX = "<html>\n<body>\n<center><h1>404 Not Found</h1></center>\n<hr><center>nginx/1.31.5</center>\n</body></html>"
HAPROXY = (
    "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
)


@pytest.mark.parametrize(
    ("headers", "body", "who", "kind"),
    [
        ("Server: nginx", NGINX, "nginx/1.31.5", "proxy"),
        ("Server: penstock/0.1.0", NGINX.replace("nginx/1.31.5", "penstock/0.1.0"), "penstock/0.1.0", "proxy"),
        ("Server: nginx", "Not found", "an application", "app"),
        ("Server: nginx", "", "an application", "app"),
        ("Server: uvicorn", "", "uvicorn", "app"),
        ("X-Powered-By: Express\r\nServer: nginx", "Cannot GET /", "Express", "app"),
        ("Cache-Control: no-cache", HAPROXY, "haproxy", "proxy"),
        ("Server: awselb/2.0", "", "awselb/2.0", "proxy"),
        ("Server: envoy", "no healthy upstream", "envoy", "proxy"),
        ("Content-Type: text/plain", '{"code":1,"message":"Session ID unknown"}', "socket.io", "app"),
        ("Content-Type: text/plain", "Upgrade Required", "", "unknown"),
    ],
)
def test_who_answered_is_told_by_headers_and_page(headers: str, body: str, who: str, kind: str) -> None:
    head = parse_response(f"HTTP/1.1 404 x\r\n{headers}\r\n\r\n".encode())
    hop = who_answered(head, body.encode())
    assert (hop.who, hop.kind) == (who, kind)


def test_those_in_between_are_named() -> None:
    head = parse_response(b"HTTP/1.1 400 x\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\nVia: 1.1 varnish\r\n\r\n")
    assert who_answered(head, b"bad").passed_by == ("1.1 varnish", "cloudflare")


@pytest.mark.parametrize(("seconds", "name"), [(60.2, "proxy_read_timeout"), (99.9, "Cloudflare"), (350, "NAT")])
def test_the_second_of_a_cut_tells_who_cut(seconds: float, name: str) -> None:
    assert name in (likely(seconds) or "")


def test_an_unknown_second_tells_nothing() -> None:
    assert likely(42.0) is None
