"""Headers changed by the directives of the headers-more module."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site, mistakes

LEVELS = "more_set_headers 'Server: mine' 'X-A: outer'; more_clear_headers 'X-Secret-*';"


def site(lines: str, tmp_path: Path, outer: str = "") -> Site:
    return Site(f"{outer} server {{ listen 80; {lines} }}", tmp_path)


def headers(site: Site, path: str = "/", **more: str) -> list[tuple[str, str]]:
    return site.ask(path, **more).answer.headers


def test_lines_of_all_levels_add_up_outer_ones_first(tmp_path: Path) -> None:
    made = site(
        "more_set_headers 'X-B: $host'; location / { more_set_headers 'x-a: inner' 'X-C: 1'; return 200 a; } "
        "location /plain { return 200 b; }",
        tmp_path,
        LEVELS,
    )
    reply = made.ask("/")
    assert reply.answer.says_server
    assert reply.answer.headers == [("Server", "mine"), ("X-B", "localhost"), ("x-a", "inner"), ("X-C", "1")]
    assert made.ask("/plain").answer.headers == [("Server", "mine"), ("X-A", "outer"), ("X-B", "localhost")]


def test_headers_are_cleared_by_name_and_wildcard_before_add_header(tmp_path: Path) -> None:
    made = site(
        "location / { more_clear_headers Server Content-Type 'X-*'; add_header X-Late yes; return 200 a; }", tmp_path
    )
    answer = made.ask("/").answer
    assert answer.says_server and answer.content_type is None
    assert answer.headers == [("X-Late", "yes")]
    made = site("location / { more_set_headers 'Content-Type: text/x' 'Date:'; return 200 a; }", tmp_path)
    answer = made.ask("/").answer
    assert (answer.content_type, answer.says_date, answer.headers) == ("text/x", True, [])


def test_types_and_statuses_limit_a_line(tmp_path: Path) -> None:
    made = site(
        "default_type text/plain; more_set_headers -s '404 410' 'X-Lost: 1'; "
        "more_set_headers -t 'text/html text/plain' 'X-Text: 1' -a 'X-Text: 2'; location /a { return 200 a; } "
        "location /gone { return 410 a; } location /j { default_type application/json; return 200 1; }",
        tmp_path,
    )
    assert headers(made, "/a") == [("X-Text", "1"), ("X-Text", "2")]
    assert ("X-Lost", "1") in headers(made, "/gone")
    assert headers(made, "/j") == []


def test_requests_are_seen_as_changed(tmp_path: Path) -> None:
    made = site(
        "more_set_input_headers 'X-New: $arg_a' 'Host: other.test:81'; more_set_input_headers -r 'X-Not: 1'; "
        "more_clear_input_headers 'X-Bad-*'; "
        "location / { try_files /none @out; } "
        "location @out { return 200 [$http_x_new][$host][$http_x_not][$http_x_bad_a]; }",
        tmp_path,
    )
    assert made.ask("/?a=b", headers=["X-Bad-A: 1"]).text == "[b][other.test][][]"


def test_a_value_stays_on_its_line(tmp_path: Path) -> None:
    made = site("location / { more_set_headers 'X-A: $uri'; return 200 a; }", tmp_path)
    assert headers(made, "/a%0d%0ab") == [("X-A", "/a%0D%0Ab")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("more_set_headers -x 'A: b';", 'invalid option "-x"'),
        ("more_set_headers -s;", "-s needs a value"),
        ("more_set_headers -s 4a 'A: b';", 'invalid status "4a"'),
        ("more_set_headers -s 404;", "no header is named"),
        ("more_set_headers 'A b: c';", '"A b" can not be the name of a header'),
        ("more_set_input_headers -s 404 'A: c';", 'invalid option "-s"'),
    ],
)
def test_mistakes(line: str, said: str, tmp_path: Path) -> None:
    assert mistakes(f"server {{ listen 80; {line} }}", tmp_path) == [said]
