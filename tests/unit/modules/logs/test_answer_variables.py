"""Variables of the answer."""

import pytest

from harness.site import Site
from penstock.http.request import Answer


def value(folder, name: str, answer: Answer | None, text: str = "", **options):
    site = Site(f"server {{ listen 80; {text} return 200; }}", folder)
    request = site.request("/", **options)
    request.answer = answer
    return site.plan.main.compilation.variables._find(name, None).get(request)


@pytest.fixture
def answer():
    made = Answer(200, b"text", content_type="text/html", headers=[("X-Own", "1"), ("x-own", "2")])
    made.charset = "utf-8"
    made.headers += [("Cache-Control", "a"), ("Cache-Control", "b")]
    made.location = "http://x/"
    made.last_modified = "Mon, 28 Sep 1970 06:00:00 GMT"
    made.etag = '"tag"'
    made.trailers = [("X-Sum", "1")]
    return made


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sent_http_content_type", "text/html; charset=utf-8"),
        ("sent_http_content_length", "4"),
        ("sent_http_location", "http://x/"),
        ("sent_http_last_modified", "Mon, 28 Sep 1970 06:00:00 GMT"),
        ("sent_http_etag", '"tag"'),
        ("sent_http_x_own", "1, 2"),
        ("sent_http_cache_control", "a, b"),
        ("sent_http_missing", None),
        ("sent_http_connection", "keep-alive"),
        ("sent_http_keep_alive", None),
        ("sent_http_transfer_encoding", None),
        ("sent_trailer_x_sum", "1"),
        ("sent_trailer_x_none", None),
    ],
)
def test_value(tmp_path, answer, name: str, expected: str | None) -> None:
    assert value(tmp_path, name, answer) == expected


def test_before_there_is_an_answer(tmp_path) -> None:
    for name in ("content_type", "content_length", "x_own", "location", "transfer_encoding"):
        assert value(tmp_path, f"sent_http_{name}", None) is None


def test_how_the_body_is_framed(tmp_path, answer) -> None:
    answer.length = None
    assert value(tmp_path, "sent_http_transfer_encoding", answer) == "chunked"
    off = "chunked_transfer_encoding off;"
    assert value(tmp_path, "sent_http_transfer_encoding", answer, off) is None
    answer.status = 304
    assert value(tmp_path, "sent_http_transfer_encoding", answer) is None


def test_the_timeout_a_client_is_told(tmp_path, answer) -> None:
    assert value(tmp_path, "sent_http_keep_alive", answer, "keepalive_timeout 75s 60s;") == "timeout=60"


def test_a_tunnel_says_upgrade(tmp_path) -> None:
    assert value(tmp_path, "sent_http_connection", Answer(101)) == "upgrade"
