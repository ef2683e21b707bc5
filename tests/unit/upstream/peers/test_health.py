"""What is known of a peer's health: what counts as news, when a slow start begins, and the words of nginx's API."""

import pytest

from penstock.upstream.peers.health import CheckState, Health, LastResult, standing
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.zone_table import RECORD, CheckedPeer, PeerTable


@pytest.fixture(params=["own", "shared"])
def health(request: pytest.FixtureRequest) -> Health:
    if request.param == "own":
        return Health()
    table = PeerTable("z", 8 * RECORD)
    return table.health(table.record("a"))


def test_a_change_is_told_once(health: Health) -> None:
    assert health.usable
    assert not health.put_in(1.0)  # nobody thought otherwise
    assert health.put_out(2.0)
    assert not health.put_out(3.0)
    assert not health.usable
    assert (health.since, health.unhealthy, health.changed) == (2.0, 1, 2)
    assert health.put_in(4.0)
    assert health.usable
    assert health.returned == 4.0


def test_one_that_is_waited_for_is_used_after_its_first_check(health: Health) -> None:
    health.expect(1.0)
    assert not health.usable
    assert health.state == CheckState.CHECKING
    assert health.put_in(2.0)
    health.expect(3.0)
    assert health.usable
    assert health.returned == 0.0  # it was not out of use


def test_checks_are_counted_with_the_reason_of_the_last(health: Health) -> None:
    health.passed(1.0)
    health.missed(2.0, "no pong in time")
    assert (health.checks, health.failed, health.last, health.last_at) == (2, 1, LastResult.FAILED, 2.0)
    assert health.why == "no pong in time"
    health.missed(3.0, "\u20ac" * 200)
    assert health.why
    health.passed(4.0)
    assert (health.last, health.why) == (LastResult.PASSED, "")


def test_the_newest_times_count_most(health: Health) -> None:
    health.time(1.0, 2.0)
    assert (health.header_time, health.response_time) == (1.0, 2.0)
    for _ in range(40):
        health.time(3.0, 6.0)
    assert health.header_time == pytest.approx(3.0, abs=0.01)
    assert health.response_time == pytest.approx(6.0, abs=0.01)


def test_a_slow_start_is_a_straight_line(health: Health) -> None:
    assert health.share_of(10.0, 5.0) == 1.0
    health.put_out(50.0)
    health.put_in(100.0)
    assert [health.share_of(10.0, now) for now in (100.0, 105.0, 110.0, 500.0)] == [0.0, 0.5, 1.0, 1.0]
    assert health.share_of(0.0, 101.0) == 1.0


def test_what_is_known_goes_along_to_where_nothing_is() -> None:
    table = PeerTable("z", 8 * RECORD)
    shared = table.health(table.record("a"))
    known = Health()
    known.missed(5.0, "refused")
    known.put_out(5.0)
    shared.take_over(known)
    assert (shared.state, shared.since, shared.why, shared.failed) == (CheckState.UNHEALTHY, 5.0, "refused", 1)
    other = Health()
    other.put_in(1.0)
    other.take_over(shared)
    assert other.usable


@pytest.mark.parametrize(
    ("options", "state", "fails", "word"),
    [
        (ServerOptions(), CheckState.UNKNOWN, 0, "up"),
        (ServerOptions(down=True), CheckState.UNHEALTHY, 0, "down"),
        (ServerOptions(drain=True), CheckState.UP, 0, "draining"),
        (ServerOptions(drain=True), CheckState.UNHEALTHY, 0, "unhealthy"),
        (ServerOptions(), CheckState.CHECKING, 0, "checking"),
        (ServerOptions(), CheckState.UP, 1, "unavail"),
    ],
)
def test_the_words_of_the_api(options: ServerOptions, state: CheckState, fails: int, word: str) -> None:
    table = PeerTable("z", 8 * RECORD)
    peer = CheckedPeer(table, table.record("a"), ("127.0.0.1", 1), "127.0.0.1:1", "a", options)
    peer.health.state = state
    peer.fails = fails
    peer.checked = 100.0
    assert standing(peer, 101.0) == word


def test_what_checks_once_said_does_not_matter_without_checks() -> None:
    peer = Peer(("127.0.0.1", 1), "127.0.0.1:1", "a", ServerOptions())
    peer.health.put_out(1.0)
    assert standing(peer, 101.0) == "up"
    assert peer.available(101.0)
