"""The way of a request through the phases: what is followed, how often, and where it ends."""

from __future__ import annotations

from pathlib import Path

from harness.site import Site
from penstock.server.engine import special_answer


def test_error_pages_are_followed_once_unless_they_may_recurse(tmp_path: Path) -> None:
    text = """
        error_page 404 = /a; error_page 403 /b;
        location /x { return 404; } location /a { return 403; } location /b { return 200 "b"; }
    """
    once = Site(f"server {{ {text} }}", tmp_path).ask("/x")
    assert once.request.uri == "/a"
    often = Site(f"server {{ recursive_error_pages on; {text} }}", tmp_path).ask("/x")
    assert (often.status, often.text) == (403, "b"), "the status of the last error stays"


def test_a_circle_of_error_pages_ends(tmp_path: Path) -> None:
    site = Site("server { recursive_error_pages on; error_page 404 /x; location / { return 404; } }", tmp_path)
    reply = site.ask("/")
    assert (reply.status, reply.request.redirects) == (404, 10)


def test_a_circle_of_rewrites_is_a_500(tmp_path: Path) -> None:
    site = Site("server { location / { rewrite ^ /again; } }", tmp_path)
    assert site.ask("/").status == 500
    assert any("cycle" in line for line in site.said())


def test_a_request_that_no_phase_has_seen_gets_its_error_page(tmp_path: Path) -> None:
    site = Site('server { error_page 400 /sorry; location = /sorry { return 200 "sorry"; } }', tmp_path)
    request = site.request("/")
    try:
        special_answer(request, 400).send(None)
    except StopIteration as done:
        answer = done.value
    assert (answer.status, answer.body, request.keep_alive) == (400, b"sorry", False)


def test_an_internal_location_is_for_redirects_alone(tmp_path: Path) -> None:
    site = Site('server { location /in { internal; return 200 "in"; } location / { rewrite ^ /in; } }', tmp_path)
    assert site.ask("/in").status == 404
    assert site.ask("/").text == "in"
