"""Every conversation under this folder, byte for byte. README.md says how to add one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.websocket.close_reasons import Why
from transcripts.player import Player
from transcripts.script import Transcript, transcripts
from transcripts.site import Site

ALL = transcripts()
SHARED = [each for each in ALL if not each.alone]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The proxy of all conversations that leave it alive; what they leave open in it is a failure."""
    with Site(SHARED) as running:
        yield running
        running.settled()


@pytest.mark.parametrize("transcript", SHARED, ids=lambda each: each.name)
def test_the_wire_carries_what_is_written(site: Site, transcript: Transcript) -> None:
    Player(transcript, site).play()


@pytest.mark.parametrize("transcript", SHARED, ids=lambda each: each.name)
def test_the_wire_carries_it_in_single_bytes(site: Site, transcript: Transcript) -> None:
    Player(transcript, site, pieces=1).play()


@pytest.mark.parametrize("transcript", [each for each in ALL if each.alone], ids=lambda each: each.name)
def test_the_wire_carries_what_is_written_while_the_proxy_changes(transcript: Transcript) -> None:
    with Site([transcript]) as site:
        Player(transcript, site).play()


def test_every_end_of_a_websocket_is_shown() -> None:
    shown = {line.text.split()[3] for each in ALL for line in each.lines if line.who == "ended"}
    # What these take is in tests/integration/: test_websocket_on_unhealthy.py, test_websocket_redial.py,
    # test_websocket_quota.py.
    assert {why.token for why in Why} - shown == {"unhealthy", "redial_failed", "quota"}


def test_there_are_many_and_no_two_of_a_name() -> None:
    assert len(ALL) >= 60
    assert len({each.word for each in ALL}) == len(ALL)
