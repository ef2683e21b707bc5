"""Variables of a request, its connection and its server."""

import base64
from types import SimpleNamespace

import pytest

from harness.site import Site
from penstock.modules.core.variables import packed


def value(folder, name: str, target: str = "/", site: str = "", **options):
    """What `$name` is for a request, None where nginx finds nothing."""
    made = Site(f"server {{ listen 80; server_name own.example; {site} return 200 ${{{name}}}; }}", folder)
    request = made.request(target, **options)
    found = made.plan.main.compilation.variables._find(name, None)
    return found.get(request)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("request", "GET /a%20b/../c?Q=1&q=2&e=&n HTTP/1.1"),
        ("request_uri", "/a%20b/../c?Q=1&q=2&e=&n"),
        ("request_method", "GET"),
        ("server_protocol", "HTTP/1.1"),
        ("uri", "/c"),
        ("document_uri", "/c"),
        ("args", "Q=1&q=2&e=&n"),
        ("query_string", "Q=1&q=2&e=&n"),
        ("is_args", "?"),
        ("arg_q", "1"),
        ("arg_Q", "1"),
        ("arg_e", ""),
        ("arg_n", None),
        ("arg_", None),
        ("host", "www.example.com"),
        ("request_port", "8080"),
        ("is_request_port", ":"),
        ("http_host", "WWW.example.com:8080"),
        ("http_x_own", "1, 2"),
        ("http_missing", None),
        ("http_cookie", "a=1; b = 2; c=3"),
        ("cookie_a", "1"),
        ("cookie_B", "2"),
        ("cookie_c", "3"),
        ("cookie_d", None),
        ("content_type", "text/own"),
        ("content_length", "5"),
        ("remote_addr", "10.1.2.3"),
        ("remote_port", "40000"),
        ("binary_remote_addr", "\x0a\x01\x02\x03"),
        ("scheme", "http"),
        ("https", ""),
        ("server_name", "own.example"),
        ("server_addr", "127.0.0.1"),
        ("server_port", "8080"),
        ("nginx_version", "1.31.5"),
        ("remote_user", None),
        ("proxy_protocol_addr", None),
        ("request_completion", ""),
        ("request_body", None),
        ("request_body_file", None),
        ("limit_rate", "0"),
        ("tcpinfo_rtt", None),
    ],
)
def test_value(tmp_path, name: str, expected: str | None) -> None:
    found = value(
        tmp_path,
        name,
        "/a%20b/../c?Q=1&q=2&e=&n",
        host="WWW.example.com:8080",
        address="10.1.2.3",
        headers=[
            "X-Own: 1",
            "x-own: 2",
            "Cookie: a=1; b = 2",
            "Cookie: c=3",
            "Content-Type: text/own",
            "Content-Length: 5",
        ],
    )
    assert found == expected


def test_without_arguments_and_port(tmp_path) -> None:
    for name, expected in (("args", None), ("is_args", ""), ("request_port", ""), ("is_request_port", "")):
        assert value(tmp_path, name) == expected


def test_the_servers_name_stands_in_for_a_missing_host(tmp_path) -> None:
    site = Site("server { listen 80; server_name own.example; return 200 $host; }", tmp_path)
    request = site.request("/")
    request.host = ""
    assert site.plan.main.compilation.variables._find("host", None).get(request) == "own.example"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic " + base64.b64encode(b"user:secret").decode(), "user"),
        ("basic   " + base64.b64encode(b"us er:").decode(), "us er"),
        ("Basic dXNlcjpwYXNzd29yZDE", "user"),
        ("Basic " + base64.b64encode(b":secret").decode(), None),
        ("Basic " + base64.b64encode(b"nocolon").decode(), None),
        ("Basic *", None),
        ("Basic dXNlc", None),
        ("Basic ", None),
        ("Bearer abc", None),
    ],
)
def test_remote_user(tmp_path, header: str, expected: str | None) -> None:
    assert value(tmp_path, "remote_user", headers=[f"Authorization: {header}"]) == expected


def test_headers_with_underscores_where_they_are_taken(tmp_path) -> None:
    headers = ["X_Own: low", "X-Own: high"]
    allowed = "underscores_in_headers on;"
    assert value(tmp_path, "http_x_own", site=allowed, headers=headers) == "low, high"
    assert value(tmp_path, "http_x_own", site=allowed, headers=["X_Own: low"]) == "low"
    assert value(tmp_path, "http_x_own", headers=headers) == "high"


def test_a_request_keeps_its_id(tmp_path) -> None:
    site = Site(
        """
        server {
            listen 80;
            location / { set $first $request_id; error_page 404 /e; return 404; }
            location /e { return 200 "$first $request_id"; }
        }
        """,
        tmp_path,
    )
    first, second = site.ask("/").text.split()
    assert first == second
    assert len(first) == 32
    assert site.ask("/").text.split()[0] != first


def test_files(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    root = f"root {tmp_path}/link;"
    assert value(tmp_path, "document_root", site=root) == f"{tmp_path}/link"
    assert value(tmp_path, "realpath_root", site=root) == f"{tmp_path}/real"
    assert value(tmp_path, "request_filename", "/a%20b", site=root) == f"{tmp_path}/link/a b"
    assert value(tmp_path, "realpath_root", site=f"root {tmp_path}/none;") is None


def test_the_rate_can_be_set(tmp_path) -> None:
    site = Site('server { listen 80; location / { set $limit_rate $arg_r; return 200 "$limit_rate"; } }', tmp_path)
    assert site.ask("/?r=40k").text == "40960"
    assert site.ask("/?r=fast").text == "0"
    assert site.said() == ['invalid $limit_rate "fast"']


def test_a_body_in_memory_or_in_a_file(tmp_path) -> None:
    site = Site("server { listen 80; return 200; }", tmp_path)
    request = site.request("/")
    find = site.plan.main.compilation.variables._find
    request.body = SimpleNamespace(kept=b"b\xe9", path=None)
    assert find("request_body", None).get(request) == "b\xe9"
    request.body = SimpleNamespace(kept=None, path="/tmp/body")
    assert find("request_body", None).get(request) is None
    assert find("request_body_file", None).get(request) == "/tmp/body"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1.2.3.4", "\x01\x02\x03\x04"),
        ("::1", "\x00" * 15 + "\x01"),
        ("fe80::1%eth0", "\xfe\x80" + "\x00" * 13 + "\x01"),
        ("unix:", "unix:"),
    ],
)
def test_packed_addresses(address: str, expected: str) -> None:
    assert packed(address) == expected
