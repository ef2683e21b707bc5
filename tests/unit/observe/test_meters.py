"""What is counted for Prometheus, and the page it makes."""

from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.net.loop import new_loop
from penstock.observe.exposition import page
from penstock.observe.figures import LASTING, PLACES, WIDTH, code_of, side_of, status_class
from penstock.observe.meters import Meters, new_rows
from penstock.plan.counters import Figures


@pytest.fixture
def loop():
    made = new_loop()
    yield made
    made.close()


class Plain(SimpleNamespace):
    __hash__ = object.__hash__


def talk():
    return Plain(messages_in=3, messages_out=4, close_code=1000, close_from="client", end_reason="closed")


def tunnel(opened=0.0, conversation=None):
    return Plain(from_client=10, from_backend=20, opened=opened, owner=Plain(conversation=conversation))


CONNECTIONS = Figures(9, 9, 20, 4, 1, 2, 1)


def samples(meters: Meters) -> dict:
    families = text_string_to_metric_families(page(meters.sums(), CONNECTIONS).decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_a_tunnel_from_open_to_closed(loop) -> None:
    meters = Meters.of(new_rows(), loop)
    one = tunnel(loop.timers.now, talk())
    meters.opened(0.003)
    loop.tunnels.add(one)
    live = samples(meters)
    assert live["penstock_tunnels_open",] == 1
    assert live["penstock_connections", "writing"] == 2
    assert live["penstock_connections_accepted_total",] == 9
    assert live["penstock_tunnel_bytes_total", "out"] == 20
    assert live["penstock_tunnel_messages_total", "in"] == 3
    loop.tunnels.remove(one)
    meters.ended(one, "CLIENT_CLOSED", one.owner.conversation)
    over = samples(meters)
    assert over["penstock_tunnels_open",] == 0
    assert over["penstock_tunnel_bytes_total", "out"] == 20
    assert over["penstock_tunnels_closed_total", "client", "1000"] == 1
    assert over["penstock_tunnel_ends_total", "closed"] == 1
    assert over["penstock_handshake_seconds_bucket", "0.0025"] == 0
    assert over["penstock_handshake_seconds_bucket", "0.005"] == over["penstock_handshake_seconds_count",] == 1
    assert over["penstock_handshake_seconds_sum",] == pytest.approx(0.003)


def test_a_tunnel_that_moves_is_counted_once(loop) -> None:
    rows = new_rows()
    giver = Meters(rows, rows.share(), loop)
    one = tunnel(0.0, talk())
    loop.tunnels.add(one)
    giver.tell()
    loop.tunnels.remove(one)
    giver.gave(one, one.owner.conversation)
    giver.tell()
    taker = Meters(rows, rows.share(), loop)
    taker.took(one, one.owner.conversation)
    loop.tunnels.add(one)
    one.from_backend += 5
    found = samples(taker)
    assert found["penstock_tunnel_bytes_total", "out"] == 25
    assert found["penstock_tunnel_messages_total", "in"] == 3
    loop.tunnels.remove(one)
    taker.ended(one, "IDLE", one.owner.conversation)
    assert samples(taker)["penstock_tunnel_bytes_total", "out"] == 25


def test_no_word_of_a_peer_makes_the_page_longer(loop) -> None:
    meters = Meters.of(new_rows(), loop)
    before = len(samples(meters))
    for code in range(70_000):
        conversation = talk()
        conversation.close_code, conversation.end_reason = code, f"reason {code}"
        meters.ended(tunnel(), "CLIENT_CLOSED", conversation)
    for status in range(1000):
        meters.answered(status)
    assert len(samples(meters)) - before < 20
    assert samples(meters)["penstock_tunnel_ends_total", "other"] == 70_000


def test_times_beyond_every_bound(loop) -> None:
    meters = Meters.of(new_rows(), loop)
    meters.ponged(1e6)
    meters.ponged(-1.0)
    found = samples(meters)
    assert found["penstock_ping_seconds_bucket", "+Inf"] == 2
    assert found["penstock_ping_seconds_bucket", "10.0"] == 1
    assert found["penstock_ping_seconds_sum",] == 1e6


def test_names() -> None:
    assert [code_of(code) for code in (1000, 1004, 2999, 3000, 4999, 5000)] == [
        "1000", "other", "other", "3xxx", "4xxx", "other",
    ]  # fmt: skip
    assert [side_of(name) for name in ("CLIENT_RESET", "BACKEND_CLOSED", "IDLE")] == ["client", "backend", "proxy"]
    assert [status_class(status) for status in (101, 204, 499, 599, 0)] == ["1xx", "2xx", "4xx", "5xx", "5xx"]
    assert len(set(PLACES.values())) == len(PLACES)
    assert max(PLACES.values()) < WIDTH and LASTING < WIDTH
