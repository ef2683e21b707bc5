"""Why a WebSocket ends: names that logs and metrics keep, and codes that may be sent."""

from __future__ import annotations

import re

import pytest

from penstock.websocket.close_reasons import ABNORMAL, Why
from penstock.websocket.frames import may_be_sent


def test_each_reason_has_a_name_of_its_own_that_a_log_and_a_label_can_hold() -> None:
    tokens = [why.token for why in Why]
    assert len(set(tokens)) == len(tokens)
    assert all(re.fullmatch(r"[a-z_]+", token) for token in tokens)


@pytest.mark.parametrize("why", Why)
def test_only_codes_that_may_be_sent_are_sent(why: Why) -> None:
    for code in (why.code, why.other):
        assert code == 0 or may_be_sent(code)


def test_abnormal_is_never_sent() -> None:
    assert not may_be_sent(ABNORMAL)
    assert all(ABNORMAL not in (why.code, why.other) for why in Why)


def test_who_broke_something_is_told_what_and_the_other_only_that_it_is_over() -> None:
    for why in (Why.MESSAGE_SIZE, Why.FRAME_SIZE, Why.RATE, Why.REAUTH):
        assert why.code != why.other == 1001


def test_a_side_that_is_gone_is_told_nothing() -> None:
    for why in Why:
        if why.token.startswith(("client_", "backend_")):
            assert why.code == 0
            assert why.other == 1001 or why is Why.BACKEND_LOST


def test_what_the_peers_make_among_themselves_has_their_codes() -> None:
    assert (Why.CLOSED.code, Why.CLOSED.other) == (0, 0)
