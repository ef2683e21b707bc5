"""What an answer to a check has to be like, and what is said of one that is not."""

from pathlib import Path

import pytest

from harness.site import compiled
from penstock.http.head import RequestHead
from penstock.http.request import Attempt, Request
from penstock.http.response import parse_response
from penstock.modules.checks.match import MATCHES
from penstock.upstream.checks.expected import DEFAULT, Expected
from penstock.upstream.checks.nobody import CheckClient

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-A: 1\r\nX-A: 2\r\n\r\n"


def expected(inside: str, folder: Path) -> tuple[Expected, Request]:
    http = f"match m {{ {inside} }} server {{ }} map $upstream_http_x_a $many {{ '1, 2' yes; }}"
    plan = compiled(f"events {{ }} http {{ {http} }}", folder)
    head = RequestHead("GET / HTTP/1.1", "GET", "/", 11, [], {})
    request = Request(CheckClient(), head, plan.servers[0])  # type: ignore[arg-type]
    return plan.shared.setdefault(MATCHES, {})["m"][0], request


@pytest.mark.parametrize(
    ("inside", "wrong"),
    [
        ("", ""),
        ("status 200;", ""),
        ("status 201 300-399;", "the status is 200"),
        ("status ! 500-599;", ""),
        ("status ! 200-204 500;", "the status is 200"),
        ("header X-A;", ""),
        ("header x-b;", "there is no header x-b"),
        ("header ! X-B;", ""),
        ("header ! X-A;", "the header X-A is there"),
        ("header X-A = '1, 2';", ""),
        ("header X-A = 1;", "the header X-A is there"),
        ("header X-A != 1;", ""),
        ("header Content-Type ~ html;", ""),
        ("header Content-Type !~ html;", "the header Content-Type is there"),
        ("header X-B ~ html;", "there is no header X-B"),
        ("body ~ 'wel+come';", ""),
        ("body !~ 'wel+come';", "the body does not fit"),
        ("body ~ goodbye;", "the body does not fit"),
        ("require $many $upstream_status;", ""),
        ("require $upstream_http_x_b;", "$upstream_http_x_b is empty or 0"),
        ("require $connections_active;", "$connections_active is empty or 0"),
        ("status 200; header X-A; body ~ goodbye;", "the body does not fit"),
    ],
)
def test_what_is_wrong(inside: str, wrong: str, tmp_path: Path) -> None:
    made, request = expected(inside, tmp_path)
    head = request.upstream_head = parse_response(ANSWER)
    attempt = Attempt("127.0.0.1:1", 0.0)
    attempt.status = 200
    request.attempts = [attempt]
    assert made.wrong(head, "you are wellcome", request) == wrong


def test_without_a_match_an_error_is_wrong(tmp_path: Path) -> None:
    _, request = expected("", tmp_path)
    for status, wrong in ((200, ""), (399, ""), (404, "the status is 404"), (101, "the status is 101")):
        head = parse_response(b"HTTP/1.1 %d X\r\n\r\n" % status)
        assert DEFAULT.wrong(head, "", request) == wrong
