"""The end of a request: all that it holds is closed, once, the last first, whatever fails on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site, listen_to
from penstock.http.request import NO_BODY, UNREAD_BODY, NoBody, Request
from penstock.server.finish import finish, release


class Thing:
    def __init__(self, closed: list[str], name: str, error: Exception | None = None) -> None:
        self.closed, self.name, self.error = closed, name, error

    def close(self) -> None:
        self.closed.append(self.name)
        if self.error is not None:
            raise self.error


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site("server { location / { return 200; } }", tmp_path)
    listen_to(site.plan.servers[0].root, site.log)
    return site


def request_of(site: Site) -> Request:
    request = site.request("/")
    request.connection.service.timers.now = 7.0  # type: ignore[misc]
    return request


def test_what_is_held_is_closed_last_first_and_once(site: Site) -> None:
    request, closed = request_of(site), list[str]()
    request.hold(Thing(closed, "file"))
    request.hold(Thing(closed, "backend"))
    finish(request)
    finish(request)
    assert closed == ["backend", "file"]
    assert request.finished == 7.0


def test_what_fails_to_close_is_logged_and_the_others_are_closed(site: Site) -> None:
    request, closed = request_of(site), list[str]()
    request.hold(Thing(closed, "file"))
    request.hold(Thing(closed, "backend", OSError(5, "Input/output error")))
    release(request)
    assert closed == ["backend", "file"]
    assert site.said() == ["[Errno 5] Input/output error, while a request ended"]


def test_requests_inside_of_it_end_with_it(site: Site) -> None:
    request, inner, closed = request_of(site), request_of(site), list[str]()
    inner.parent = request
    inner.hold(Thing(closed, "of the inner one"))
    request.hold(inner)
    finish(request)
    assert closed == ["of the inner one"]
    assert inner.finished == request.finished == 7.0


def test_actions_at_the_end_come_after_what_is_closed(site: Site) -> None:
    request, closed = request_of(site), list[str]()
    request.at_end(lambda: closed.append("action"))
    request.hold(Thing(closed, "file"))
    finish(request)
    assert closed == ["file", "action"]
    assert request.endings is None, "nothing leads back to the request"


@pytest.mark.parametrize(("done", "left"), [(True, NO_BODY), (False, UNREAD_BODY)])
def test_of_a_body_stays_whether_it_was_read(site: Site, done: bool, left: NoBody) -> None:
    request = request_of(site)
    request.body = body = NoBody()
    body.done = done
    finish(request)
    assert request.body is left
