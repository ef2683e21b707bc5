"""What the end of one connection of a WebSocket means, for every reason there is."""

from __future__ import annotations

import pytest

from penstock.net.relay.tunnel import End
from penstock.server.websocket.losses import FINS, LOST, OF_CLIENT, PARTED, last_wait, loss_of
from penstock.websocket.close_reasons import Why


@pytest.mark.parametrize("reason", LOST)
def test_a_side_is_lost_before_any_goodbye(reason: End) -> None:
    assert loss_of(reason, said=False, told=False, alone=False) == (LOST[reason], reason)
    assert reason.name.startswith("CLIENT") == (reason in OF_CLIENT)
    assert LOST[reason].token.startswith("client" if reason in OF_CLIENT else "backend")


@pytest.mark.parametrize("reason", FINS)
def test_a_fin_behind_a_close_frame_is_as_it_should_be(reason: End) -> None:
    assert loss_of(reason, said=True, told=False, alone=False) is None


@pytest.mark.parametrize("reason", [End.CLIENT_RESET, End.BACKEND_RESET])
def test_a_reset_behind_a_close_frame_is_a_goodbye(reason: End) -> None:
    assert loss_of(reason, said=True, told=False, alone=False) == (Why.CLOSED, PARTED[reason])
    assert PARTED[reason].value.endswith("closed connection")


@pytest.mark.parametrize("reason", LOST)
def test_nothing_is_lost_once_both_have_said_goodbye(reason: End) -> None:
    assert loss_of(reason, said=True, told=True, alone=False) is None


@pytest.mark.parametrize("reason", PARTED)
def test_who_goes_without_an_answer_is_lost_to_a_peer_that_waits_for_it(reason: End) -> None:
    assert loss_of(reason, said=False, told=True, alone=False) == (LOST[reason], reason)
    assert loss_of(reason, said=False, told=True, alone=True) == (Why.CLOSED, PARTED[reason])


def test_who_takes_nothing_is_stuck_whatever_it_has_said() -> None:
    found = loss_of(End.CLIENT_SEND_TIMEOUT, said=True, told=False, alone=False)
    assert found == (Why.CLIENT_STUCK, End.CLIENT_SEND_TIMEOUT)


@pytest.mark.parametrize("reason", [each for each in End if each not in LOST])
def test_what_is_no_side_s_doing_is_no_loss(reason: End) -> None:
    assert loss_of(reason, said=False, told=False, alone=False) is None
    assert last_wait(reason, said=True, told=False, heard=True) is None


@pytest.mark.parametrize("reason", PARTED)
def test_an_answer_is_waited_for_only_while_somebody_can_give_it(reason: End) -> None:
    assert last_wait(reason, said=True, told=False, heard=True) == (Why.CLOSED, PARTED[reason])
    assert last_wait(reason, said=True, told=False, heard=False) is None
    assert last_wait(reason, said=True, told=True, heard=True) is None
    assert last_wait(reason, said=False, told=False, heard=True) is None
