"""What becomes of a WebSocket when somebody is asked again whether its client may have it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.server.websocket import reauth
from penstock.server.websocket.reauth import EARLIER, FAILURES, SOON, UNAVAILABLE, Reauth
from penstock.websocket.close_reasons import Why
from penstock.websocket.terms import Terms

EVERY = 300.0
NOW = 1000.0


class Talk:
    """A session, as far as it is told."""

    def __init__(self) -> None:
        self.terms = Terms(reauth=EVERY, reauth_uri="/auth", reauth_code=4003)
        self.client = object()
        self.ends: list[tuple[Why, int, object]] = []
        self.plans = 0

    def end(self, why: Why, code: int, *, text: str = "", offender: object = None) -> None:
        self.ends.append((why, code, offender))

    def plan(self) -> None:
        self.plans += 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> tuple[Reauth, Talk]:
    monkeypatch.setattr(reauth, "report", lambda *_: None)
    monkeypatch.setattr(reauth, "Request", lambda connection, *_: SimpleNamespace(connection=connection))
    monkeypatch.setattr(reauth, "Shadow", lambda connection, _: connection)
    connection = SimpleNamespace(service=SimpleNamespace(timers=SimpleNamespace(now=NOW)))
    names = ("head", "server", "uri", "args", "host", "method", "location", "captures", "variables", "started")
    request: Any = SimpleNamespace(connection=connection, **dict.fromkeys(names))
    talk: Any = Talk()
    return Reauth(talk, request, None), talk  # type: ignore[arg-type]


def test_the_first_question_comes_after_the_interval_or_a_little_earlier(asked: tuple[Reauth, Talk]) -> None:
    """Those that came together shall not ask together."""
    assert NOW + EVERY * (1 - EARLIER) <= asked[0].due <= NOW + EVERY


@pytest.mark.parametrize("status", [200, 204, 299])
def test_who_may_have_it_is_asked_again_later(asked: tuple[Reauth, Talk], status: int) -> None:
    one, talk = asked
    one._judge(status)
    assert one.due >= NOW + EVERY * (1 - EARLIER)
    assert (talk.ends, talk.plans) == ([], 1)


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not_gets_the_code_that_is_written_down(asked: tuple[Reauth, Talk], status: int) -> None:
    one, talk = asked
    one._judge(status)
    assert talk.ends == [(Why.REAUTH, 4003, talk.client)]


def test_a_question_that_nobody_can_answer_is_asked_again_soon_and_not_for_ever(asked: tuple[Reauth, Talk]) -> None:
    one, talk = asked
    for status in (0, 500, 302)[: FAILURES - 1]:
        one._judge(status)
        assert one.due == NOW + SOON
        assert not talk.ends
    one._judge(502)
    assert talk.ends == [(Why.REAUTH, UNAVAILABLE, talk.client)]


def test_an_answer_forgives_the_failures_before_it(asked: tuple[Reauth, Talk]) -> None:
    one, talk = asked
    for status in (500, 500, 200, 500, 500):
        one._judge(status)
    assert not talk.ends


def test_an_answer_that_comes_after_the_end_changes_nothing(asked: tuple[Reauth, Talk]) -> None:
    one, talk = asked
    one.cancel()
    one._judge(403)
    assert (talk.ends, talk.plans) == ([], 0)
