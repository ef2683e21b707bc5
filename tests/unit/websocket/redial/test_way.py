"""The directions of a WebSocket that may be redialled: whose ping is unanswered, and which goodbye is none."""

from __future__ import annotations

import pytest

from penstock.websocket.direction import CLOSED
from penstock.websocket.redial.way import ANY, LEFT, BackendWay, ClientWay
from unit.websocket.streams import frame

CODES = frozenset({1001, 1012})


def both() -> tuple[ClientWay, BackendWay]:
    up = ClientWay()
    return up, BackendWay(up, CODES)


def goodbye(code: int) -> bytes:
    return b"\x88\x02" + code.to_bytes(2, "big")


def test_the_last_ping_is_owed_until_its_own_pong_comes() -> None:
    up, down = both()
    up.feed(frame(0x89, b"one") + frame(0x89, b"two"), 0.0)
    assert up.owed == b"two"
    assert down.feed(b"\x8a\x03one", 0.0) == b"\x8a\x03one"
    assert up.owed == b"two"
    down.feed(b"\x8a\x03two", 0.0)
    assert up.owed is None


def test_a_pong_of_ours_answers_nothing_of_the_client() -> None:
    up, down = both()
    up.feed(frame(0x89, b"same"), 0.0)
    down.awaited = b"same"
    assert not down.feed(b"\x8a\x04same", 0.0)
    assert up.owed == b"same"


@pytest.mark.parametrize("code", [1001, 1012])
def test_a_goodbye_that_is_none(code: int) -> None:
    _, down = both()
    assert down.feed(b"\x81\x01a" + goodbye(code) + b"\x81\x01b", 0.0) == b"\x81\x01a"
    assert down.news == LEFT
    assert (down.left_with, down.close_code) == (code, None)
    down.begin_anew()
    assert down.feed(b"\x81\x01c", 0.0) == b"\x81\x01c"
    assert down.messages == 2, "what comes behind a goodbye is not counted; all else goes on being counted"


def test_other_goodbyes_are_passed_on() -> None:
    _, down = both()
    assert down.feed(goodbye(1000), 0.0) == goodbye(1000)
    assert down.news == CLOSED


def test_amid_a_message_and_behind_the_clients_own_it_is_a_goodbye() -> None:
    _, down = both()
    assert down.feed(b"\x01\x01a" + goodbye(1012), 0.0)
    assert down.news == CLOSED
    up, down = both()
    up.feed(frame(0x88, b"\x03\xe8"), 0.0)
    assert down.feed(goodbye(1012), 0.0) == goodbye(1012)
    assert down.news == CLOSED


def test_who_was_told_goodbye_may_say_anything() -> None:
    _, down = both()
    down.leaves = ANY
    assert not down.feed(b"\x88\x00", 0.0)
    assert down.news == LEFT
